# `make repro` runs the pipeline, `make test` the tests; each sets the environment up first, once.
PYTHON ?= python3

.PHONY: repro test check
repro: .venv/installed
	.venv/bin/dvc repro

test: .venv/installed
	.venv/bin/python -m pytest -n auto --dist loadfile

check: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# torch goes first and alone: named with its exact version, pip takes the build that fits the machine.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
