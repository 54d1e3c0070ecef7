"""A folder with what a measurement reads: params, prepared texts, a classifier, and a CPU's outputs for them.

Teacher, generator and student start from one classifier in float16, so that the folder is small enough to carry. The
generator's adapter is not in it, because it is in the repository.
"""

import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from pipeline.augment.adapter import save_adapter, with_adapter
from pipeline.data.prepare import prepare
from pipeline.errors import InputError
from pipeline.models.loading import load_classifier, load_config, load_masked_lm, load_tokenizer
from pipeline.models.saving import save_model
from pipeline.params.schema import Params
from pipeline.training.teacher import train_teacher

PARAMS, MODEL, PREPARED, REFERENCE = "params.json", "model", "prepared", "reference"
"""What the folder has."""
WHEELS = "wheels.txt"
"""Its list of packages that a machine with torch, transformers, accelerate, peft, pyarrow and scipy may still lack."""
LACKED = ("pydantic", "pydantic-core", "annotated-types", "typing-inspection", "platformdirs")


def cut_down(params: Params, share: float) -> Params:
    """Params over a share of the source's texts, of the test texts and of the steps of distillation."""
    values: dict[str, Any] = params.model_dump()
    source, target, distill = values["data"]["source"], values["data"]["target"], values["distill"]
    for section, key in ((source, "rows"), (source, "sentences"), (target, "test"), (distill, "least_steps")):
        if section and section[key]:
            section[key] = math.ceil(share * section[key])
    return Params.model_validate(values)


def write_inputs(params: Params, out: Path, scratch: Path) -> None:
    """Write all but the CPU's outputs.

    Args:
        scratch: a folder for what is made on the way.

    Raises InputError as the stages do that prepare the texts and train the classifier's head.
    """
    prepare(params, out=out / PREPARED, metrics=scratch / "data.json")
    # With every layer frozen the encoder stays as published, and what is trained is a head that has something to say.
    layers = load_config(params.teacher.model, "teacher.model").num_hidden_layers
    teacher = params.teacher.model_copy(update={"frozen": layers, "domains": ["target"]})
    heads = params.model_copy(update={"teacher": teacher})
    train_teacher(heads, prepared=out / PREPARED, out=scratch / MODEL, metrics=scratch / "teacher.json")
    model, tokenizer = load_classifier(scratch / MODEL, "model"), load_tokenizer(scratch / MODEL, "model")
    save_model(model.half(), tokenizer, out / MODEL)
    (out / PARAMS).write_text(params.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (out / WHEELS).write_text("".join(f"{name}=={version(name)}\n" for name in LACKED), encoding="utf-8")


def read_params(folder: Path) -> Params:
    """The params of a folder, their models that beside them. Raises InputError if it is no such folder."""
    if not (folder / PARAMS).is_file():
        raise InputError(f"{folder}: no {PARAMS}; accepted: a folder that python -m benchmarks.gpu pack has written")
    params = Params.model_validate_json((folder / PARAMS).read_text(encoding="utf-8"))
    model = str((folder / MODEL).absolute())
    return params.model_copy(
        update={
            "teacher": params.teacher.model_copy(update={"model": model}),
            "generator": params.generator.model_copy(update={"model": model}),
        }
    )


def with_rounded_adapter(params: Params, out: Path) -> Params:
    """Params whose generator has its adapter from `out`, where it is as if it had been trained on the rounded encoder.

    Otherwise it would be refused as that of another model. Raises InputError if there is no such file.
    """
    generator = params.generator
    if not generator.adapter:
        return params
    if not Path(generator.adapter).is_file():
        raise InputError(f"{generator.adapter}: no such file; accepted: to run in the folder of the repository")
    weights = load_file(generator.adapter)
    rank = next(weight.shape[0] for name, weight in weights.items() if "lora_A" in name)
    model, _ = load_masked_lm(generator.model, "generator.model")
    adapted = with_adapter(model, rank)
    adapted.load_state_dict(weights, strict=False)
    save_adapter(adapted, out)
    return params.model_copy(update={"generator": generator.model_copy(update={"adapter": str(out)})})
