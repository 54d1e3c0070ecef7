"""Before the first run: a params file proposed for one's tables, and what a run needs."""
