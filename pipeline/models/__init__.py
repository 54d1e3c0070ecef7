"""Encoders: loading, saving, making a student, forward passes, compatibility checks."""
