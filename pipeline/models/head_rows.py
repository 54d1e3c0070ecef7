"""The rows of a fine-tuned head follow the names of its classes: transformers renames rows, and does not move them."""

from typing import Any

import torch
from transformers import PreTrainedModel

from pipeline.errors import InputError


def row_names(config: Any) -> list[str]:
    """A head's classes in the order of its rows, which need not be that of config.json."""
    return [str(config.id2label[row]) for row in range(len(config.id2label))]


def rows_by_name(config: Any, labels: list[str], key: str, address: object) -> list[int] | None:
    """For each class of the data the row of a model's head that stands for it, whatever the case and spaces.

    Returns None if no class of the data is among the model's, as none is in LABEL_0 and the like. Raises InputError if
    some are and others are not, or if two of the model's classes are one of the data's.
    """
    names = row_names(config)
    exact = {name: row for row, name in enumerate(names)}
    folded: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        folded.setdefault(_fold(name), []).append(row)
    found = {name: [exact[name]] if name in exact else folded.get(_fold(name), []) for name in labels}
    if not any(found.values()):
        return None
    rows = [each[0] for each in found.values() if len(each) == 1]
    if len(set(rows)) < len(labels):
        missing = [name for name, each in found.items() if len(each) != 1] or labels
        raise InputError(
            f"{key}: the classes of {address} are {', '.join(names)}, of which none or several are "
            f"{', '.join(missing)}; accepted: a model that has all of the data's classes (data.target.labels renames "
            "these), or none (id2label of its config.json)"
        )
    return rows


def _fold(name: str) -> str:
    return " ".join(name.casefold().split())


def output_layer(model: PreTrainedModel) -> tuple[str, torch.nn.Linear] | None:
    """The linear layer that gives a classifier's logits, and its name; None if its family has another."""
    inside = set() if model.base_model is model else set(model.base_model.modules())
    found = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module.out_features == model.config.num_labels
        and module not in inside
    ]  # fmt: skip
    return found[-1] if found else None


@torch.no_grad()
def take_rows(model: PreTrainedModel, linear: torch.nn.Linear, rows: list[int], labels: list[str]) -> None:
    """Reduce a classifier to these rows of its head, in this order, and name them, in place.

    Args:
        linear: its output layer.
    """
    linear.weight = torch.nn.Parameter(linear.weight[rows].clone())
    if linear.bias is not None:
        linear.bias = torch.nn.Parameter(linear.bias[rows].clone())
    linear.out_features = len(rows)
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {name: row for row, name in enumerate(labels)}
    model.config.problem_type = "single_label_classification"
    # The loss that transformers computes reads it.
    model.num_labels = len(rows)
