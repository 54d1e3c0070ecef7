"""What one GPU gives: the pipeline's work in each number format, beside what a CPU made of the same inputs."""
