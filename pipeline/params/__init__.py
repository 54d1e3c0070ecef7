"""The parameters: the schema of params.yaml, read and checked whole before any work."""
