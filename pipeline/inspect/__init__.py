"""Neighbours looked at: found, joined with what selector, teacher and student say, printed."""
