"""The stages of dvc.yaml: each a thin Typer command, `python -m stages.NAME`."""
