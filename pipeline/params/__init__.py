"""The parameters: the schema of params.yaml, which is read and checked as a whole before any work."""
