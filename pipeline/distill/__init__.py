"""Algorithm 1: objectives (Eqs. 1–3), the selector (Eqs. 13–15), the loop."""
