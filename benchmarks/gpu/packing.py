"""Packing the inputs of a measurement: the texts, one classifier in float16 for every model, and the packages to carry.

Teacher, generator and student start from that classifier, so that the folder is small enough to carry. The generator's
adapter is not in it, because it is in the repository.
"""

import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.gpu.inputs import MODEL, PARAMS, PREPARED
from pipeline.data.prepare import prepare
from pipeline.models.loading import load_classifier, load_config, load_tokenizer
from pipeline.models.saving import save_model
from pipeline.params.models import Teacher
from pipeline.params.schema import Params
from pipeline.training.teacher import train_teacher

WHEELS = "wheels.txt"
"""The file that lists packages which a machine with torch, transformers, peft, pyarrow and typer may still lack."""
HEAD: dict[str, Any] = {"domains": ["target"], "epochs": {"source": 0, "target": 30}, "learning_rate": 3e-3}
"""How the classifier's head is trained, every layer frozen: the encoder stays as published."""
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
    layers = load_config(params.teacher.model, "teacher.model").num_hidden_layers
    teacher = params.teacher.model_dump() | HEAD | {"frozen": layers}
    heads = params.model_copy(update={"teacher": Teacher.model_validate(teacher)})
    train_teacher(heads, prepared=out / PREPARED, out=scratch / MODEL, metrics=scratch / "teacher.json")
    model, tokenizer = load_classifier(scratch / MODEL, "model"), load_tokenizer(scratch / MODEL, "model")
    save_model(model.half(), tokenizer, out / MODEL)
    (out / PARAMS).write_text(params.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (out / WHEELS).write_text("".join(f"{name}=={version(name)}\n" for name in LACKED), encoding="utf-8")
