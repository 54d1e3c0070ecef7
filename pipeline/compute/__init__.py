"""How work is computed: batches, precision, several processes, Ray, progress bars."""
