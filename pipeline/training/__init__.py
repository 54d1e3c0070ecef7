"""Training loops: optimizer, checkpoints, fine-tuning of the teacher and of the baseline Student-FT."""
