"""The paper's tables and studies: planned, run, collected and reported."""
