"""Texts in: loading, splitting, the leak check."""
