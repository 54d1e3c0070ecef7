"""The page that tells what a run came to: what is read for it, what follows from that, and how it is drawn."""
