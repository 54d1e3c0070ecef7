"""Measurements: none of this is needed to use the pipeline."""

import os

# Even where bfloat16 is fast: the figures of all machines, and those of other libraries beside, are then of one format.
os.environ.setdefault("L2A_PRECISION", "float32")
