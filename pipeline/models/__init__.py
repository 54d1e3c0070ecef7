"""Encoders: loaded, saved, cut to a student, run forward, checked against one another."""
