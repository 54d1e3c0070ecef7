"""Some layers of a model as a new, smaller model of its family."""

import copy
import logging
from collections.abc import KeysView
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from pipeline.errors import InputError
from pipeline.models.layer_map import layer_map
from pipeline.models.pair_encoder import MODEL_TYPE as PAIRS
from pipeline.params.types import Pick

logger = logging.getLogger(__name__)
PER_LAYER = ("layer_types", "attention_window")
"""Settings with a value for each layer."""
OTHERS = "accepted: student.init: pretrained, fresh or bilstm"


def take_layers(model: PreTrainedModel, layers: int, pick: Pick, address: str | Path) -> PreTrainedModel:
    """Copy a classifier's embeddings, some of its layers and its head into a new one.

    In any encoder of transformers, a config with fewer layers makes a model whose weights have the names of the first
    layers; the weights of other layers are renamed to these.

    Args:
        address: the model's address, for errors.

    Raises InputError if the model has fewer layers, or layers that cannot replace each other.
    """
    check_layers(model.config, layers, pick, address)
    student = new_classifier(cut_config(model.config, layers, pick))
    names = student.state_dict().keys()
    weights = model.state_dict()
    if pick != "first":
        weights |= _picked_layers(model, layers, pick, names, address)
    student.load_state_dict({name: weight for name, weight in weights.items() if name in names})
    return student


def check_layers(config: Any, layers: int, pick: Pick, address: str | Path) -> None:
    """Raise InputError if a model with this config cannot be cut to so many layers; no weights are read.

    Logs a warning if the layers share their weights, so that fewer layers are as many parameters.
    """
    depth, family = config.num_hidden_layers, config.model_type
    if layers > depth:
        raise InputError(f"student.layers: got {layers}, but {address} has {depth} layers; accepted: 1 to {depth}")
    try:
        # Without memory for weights.
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            whole, part = new_classifier(config), new_classifier(cut_config(config, layers, pick))
            first = part if pick == "first" else new_classifier(cut_config(config, layers, "first"))
    except Exception as error:
        # Funnel's config has no number of layers to set, and others may have settings for each layer.
        raise InputError(f"student.init: the layers of {family} models cannot be taken one by one; {OTHERS}") from error
    shapes, cut_shapes = (
        {name: parameter.shape for name, parameter in model.named_parameters()} for model in (whole, part)
    )
    changed = [name for name, shape in cut_shapes.items() if shape != shapes.get(name)]
    if changed:
        raise InputError(
            f"student.init: some weights of {family} models depend on the number of layers, such as {changed[0]}; "
            f"{OTHERS}"
        )
    # In an ESMC, what each layer adds is divided by a root of the number of layers.
    settings, cut_settings = _numbers(whole), _numbers(first)
    if differing := [name for name, number in cut_settings.items() if number != settings.get(name)]:
        raise InputError(
            f"student.init: the layers of {family} models compute with the number of layers ({differing[0]}); {OTHERS}"
        )
    if pick != "first":
        _picked_layers(whole, layers, pick, part.state_dict().keys(), address)
    if layers < depth and cut_shapes == shapes:
        logger.warning(
            "student.layers: the layers of %s models share their weights: %d are as many parameters as all %d, %s",
            family, layers, depth, f"{sum(shape.numel() for shape in shapes.values()):,}",
        )  # fmt: skip


def picked(pick: Pick, layers: int, depth: int) -> list[int]:
    """The layers, from 1, that are taken of a model with `depth` layers.

    A sentence encoder's last layer makes the states whose mean means something, from those of all layers before; its
    first ones make the words. Without either, or with the first alone, the mean says little before training.
    """
    if pick == "first":
        return list(range(1, layers + 1))
    if pick == "spaced" or layers == 1:
        return layer_map(layers, depth)
    return [1, *(1 + above for above in layer_map(layers - 1, depth - 1))]


def _numbers(model: PreTrainedModel) -> dict[str, float]:
    """The factors and the like that modules have beside their weights, by name."""
    return {
        f"{name}.{attribute}": value
        for name, module in model.named_modules()
        for attribute, value in vars(module).items()
        if isinstance(value, float)
    }


def cut_config(config: Any, layers: int, pick: Pick) -> Any:
    """The config of a model with some layers of another."""
    cut = copy.deepcopy(config)
    encoder = cut.encoder if cut.model_type == PAIRS else cut
    encoder.num_hidden_layers = layers
    taken = picked(pick, layers, config.num_hidden_layers)
    for name in PER_LAYER:
        if isinstance(settings := getattr(config, name, None), list):
            setattr(encoder, name, [settings[layer - 1] for layer in taken])
    return cut


def new_classifier(config: Any) -> PreTrainedModel:
    """A classifier with random weights, in evaluation mode."""
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    return model.eval()


def _picked_layers(
    model: PreTrainedModel, layers: int, pick: Pick, names: KeysView[str], address: str | Path
) -> dict[str, torch.Tensor]:
    """Weights of the picked layers under the names of the first ones.

    Args:
        names: of the student's weights.
    """
    depth = model.config.num_hidden_layers
    stacks = [
        name for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth
    ]  # fmt: skip
    if len(stacks) != 1:
        raise InputError(f"student.pick: {address} has no list of {depth} layers to pick from; accepted: first")
    weights = model.state_dict()
    renamed: dict[str, torch.Tensor] = {}
    for index, layer in enumerate(picked(pick, layers, depth)):
        prefix = f"{stacks[0]}.{layer - 1}."
        renamed |= {
            f"{stacks[0]}.{index}.{name.removeprefix(prefix)}": weight
            for name, weight in weights.items()
            if name.startswith(prefix)
        }
    if renamed.keys() - names:
        raise InputError(f"student.pick: {address} has a first layer that is unlike the others; accepted: first")
    return renamed
