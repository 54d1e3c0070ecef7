"""The classes in a model's config.json, read without transformers, which takes seconds to import."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

UNNAMED = {0: "LABEL_0", 1: "LABEL_1"}
"""What transformers calls two classes without names, and does not write."""


def read_config(file: Path) -> SimpleNamespace:
    """A model's config as attributes, as in transformers: numbers as keys of id2label.

    Raises OSError, and ValueError, AttributeError or TypeError if it is no config.
    """
    config = SimpleNamespace(**json.loads(file.read_text(encoding="utf-8")))
    names = getattr(config, "id2label", None) or UNNAMED
    config.id2label = {int(index): name for index, name in names.items()}
    return config


def class_names(config: Any) -> list[str]:
    """The classes of a model's config in order; empty for regression. Raises KeyError if their numbers have gaps."""
    names: dict[int, str] = config.id2label
    return [names[index] for index in range(len(names))] if len(names) > 1 else []
