"""What stages leave for one another: shards, the teacher's cache, and how they are published."""
