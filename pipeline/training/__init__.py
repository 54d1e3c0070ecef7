"""Fine-tuning: optimizer, checkpoints, the teacher, the comparison Student-FT."""
