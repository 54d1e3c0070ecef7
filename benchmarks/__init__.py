"""Measurements: none of this is needed to use the pipeline."""
