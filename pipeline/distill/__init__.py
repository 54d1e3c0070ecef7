"""Distillation: Algorithm 1 (loop.py), the losses (Eqs. 1–3), the selector (Eqs. 13–15), the teacher's cache."""
