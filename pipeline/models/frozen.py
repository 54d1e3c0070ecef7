"""The lower part of an encoder, its embeddings and first layers: not trained and, for known texts, not computed."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from pipeline.errors import InputError
from pipeline.models.attention import sample_inputs, trying
from pipeline.models.layers import new_classifier
from pipeline.models.loading import quiet


@dataclass(frozen=True)
class Frozen:
    """The part of a model that is not trained."""

    modules: list[torch.nn.Module]
    """All of its modules."""
    layers: list[torch.nn.Module]
    """The frozen layers, from the first."""
    sizes: list[int] | None
    """Of each layer the length of the tuple that it returns, 0 for a tensor; None if known states cannot stand in for
    the layers, because other layers need more of them or padding changes the states of words."""

    def eval(self) -> None:
        """Turn its dropout off; the rest of the model stays as it is."""
        for module in self.modules:
            module.eval()


def check_frozen(config: Any, count: int, key: str) -> None:
    """Raise InputError, as `freeze` would, if models with this config have no `count` layers to freeze."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"), quiet():
        model = new_classifier(config)
    _layers(model, count, key)


def _layers(model: PreTrainedModel, count: int, key: str) -> list[torch.nn.Module]:
    """The layers of an encoder, of which it must have `count`."""
    depth = getattr(model.config, "num_hidden_layers", 0)
    lists = [module for module in model.base_model.modules() if isinstance(module, torch.nn.ModuleList)]
    stacks = [list(each) for each in lists if len(each) == depth]
    if len(stacks) != 1:
        family = model.config.model_type
        raise InputError(f"{key}: got {count}, but {family} models have no list of their layers; accepted: 0")
    if count > depth:
        raise InputError(f"{key}: got {count}, but the model has {depth} layers; accepted: 0 to {depth}")
    return stacks[0]


def freeze(model: PreTrainedModel, count: int, key: str) -> Frozen:
    """Stop the training of a classifier's embeddings and first layers: their weights no longer require gradients.

    Frozen with them is all else of the encoder that is computed before its last layer, such as MPNet's position bias.

    Args:
        count: number of layers.
        key: the parameter that sets it, for errors.

    Raises InputError if the model has fewer layers, or no list of them.
    """
    base, stack = model.base_model, _layers(model, count, key)
    trained = [module for layer in stack[count:] for module in layer.modules()] + _after(model, stack[-1])
    weights = {id(weight) for module in trained for weight in module.parameters(recurse=False)}
    for weight in base.parameters():
        weight.requires_grad_(id(weight) in weights)
    kept = set(trained)
    modules = [module for module in base.modules() if kept.isdisjoint(module.modules())]
    return Frozen(modules, stack[:count], _sizes(model, stack[:count]))


def _after(model: PreTrainedModel, last: torch.nn.Module) -> list[torch.nn.Module]:
    """The modules of the encoder that run after its last layer only, such as a pooler's."""
    calls: list[torch.nn.Module] = []
    with ExitStack() as stack, trying(model):
        for module in model.base_model.modules():
            hook = module.register_forward_pre_hook(lambda module, _inputs: calls.append(module))
            stack.callback(hook.remove)
        model(**sample_inputs(model))
    inside = set(last.modules())
    end = max(position for position, module in enumerate(calls) if module in inside)
    earlier = set(calls[: end + 1])
    return [module for module in calls[end + 1 :] if module not in earlier]


def _sizes(model: PreTrainedModel, layers: list[torch.nn.Module]) -> list[int] | None:
    """What `Frozen.sizes` is for these layers, found by trying."""
    inputs = sample_inputs(model)
    with trying(model):
        expected = model(**inputs).logits
        outputs = _outputs(model, layers, inputs)
        parts = [output if isinstance(output, tuple) else (output,) for output in outputs]
        if len(outputs) != len(layers) or any(part is not None for first, *rest in parts for part in rest):
            return None
        states = parts[-1][0]
        if states.shape[:2] != inputs["input_ids"].shape:
            return None
        sizes = [len(output) if isinstance(output, tuple) else 0 for output in outputs]
        # Nothing is known of padding.
        with returning(Frozen([], layers, sizes), states * inputs["attention_mask"][:, :, None]):
            same = torch.allclose(model(**inputs).logits, expected, atol=1e-5)
    return sizes if same else None


def _outputs(
    model: PreTrainedModel, layers: list[torch.nn.Module], inputs: Mapping[str, torch.Tensor]
) -> list[torch.Tensor | tuple[Any, ...]]:
    outputs: list[Any] = []
    with ExitStack() as stack, torch.no_grad():
        for layer in layers:
            hook = layer.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
            stack.callback(hook.remove)
        model(**inputs)
    return outputs


class _Computed(Exception):  # noqa: N818 - it is none.
    """Ends a forward pass whose upper layers nobody reads."""


def layer_states(model: PreTrainedModel, frozen: Frozen, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The states that the last frozen layer returns: (texts, tokens, width). The model must be in evaluation mode."""
    states: list[torch.Tensor] = []

    def end(_module: Any, _inputs: Any, output: Any) -> None:
        states.append(output[0] if isinstance(output, tuple) else output)
        raise _Computed

    hook = frozen.layers[-1].register_forward_hook(end)
    try:
        with torch.no_grad(), suppress(_Computed):
            model(**inputs)
    finally:
        hook.remove()
    return states[0]


@contextmanager
def returning(frozen: Frozen, states: torch.Tensor) -> Iterator[None]:
    """Inside, the frozen layers compute nothing and return these states: (texts, tokens, width)."""
    for layer, size in zip(frozen.layers, frozen.sizes or (), strict=True):
        output = (states, *[None] * (size - 1)) if size else states
        # An attribute of the instance hides the method.
        layer.forward = lambda *_inputs, _output=output, **_options: _output
    try:
        yield
    finally:
        for layer in frozen.layers:
            del layer.forward
