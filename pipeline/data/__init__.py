"""The texts of a run: loading, checking for leaks, splitting."""
