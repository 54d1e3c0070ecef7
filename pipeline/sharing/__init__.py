"""Student and neighbours as folders for the hub, with cards."""
