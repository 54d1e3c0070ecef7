"""What each of two processes comes to, for `test_processes.py`: `torchrun … two_processes.py GIVEN OUT`."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pipeline.compute import distributed
from pipeline.data.texts import read_texts
from pipeline.distill.dataset import read_dataset
from pipeline.distill.loop import distill
from pipeline.evaluation.validation import Validation
from pipeline.models.loading import load_classifier, load_tokenizer
from pipeline.models.student import build_student
from pipeline.params.schema import Params
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.finetune import fine_tune


def no_dropout(model: torch.nn.Module) -> None:
    """The only chance that processes do not share."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def fine_tuned(given: dict[str, Any], params: Params) -> tuple[dict[str, torch.Tensor], Any]:
    """A classifier's weights, and what was measured."""
    prepared = Path(given["prepared"])
    train, validation = (read_texts(prepared / f"{name}.parquet") for name in ("train", "validation"))
    model = load_classifier(Path(given["teacher"]), "teacher", train.names)
    no_dropout(model)
    tokenizer = load_tokenizer(Path(given["teacher"]), "teacher")
    fit = params.teacher
    named = {
        "max_length": params.max_length,
        "seed": 1,
        "what": "teacher",
        "checkpoint": Checkpoint("test", "pipeline.training.checkpoint", run=given),
    }
    learnt = fine_tune(model, tokenizer, [(train, 3)], validation, fit, **named)
    return model.state_dict(), learnt


def distilled(given: dict[str, Any], params: Params) -> tuple[dict[str, torch.Tensor], Any]:
    """A student's weights with π and what was kept, and what was logged."""
    prepared, teacher = Path(given["prepared"]), Path(given["teacher"])
    tokenizer = load_tokenizer(teacher, "teacher")
    validation = read_texts(prepared / "validation.parquet")
    student = build_student(params, teacher=teacher, labels=validation.names, pairs=False)
    no_dropout(student)
    lessons = read_dataset(
        params,
        prepared=prepared,
        augmented=Path(given["augmented"]),
        cache=Path(given["cache"]),
        tokenizer=tokenizer,
    )
    logged: list[Any] = []
    scored = Validation(validation, tokenizer, params.max_length)
    done = distill(student, 32, lessons, scored, params, lambda *seen: logged.append(seen))
    decided = {"pi": torch.from_numpy(done.pi), "kept": torch.from_numpy(done.kept)}
    return student.state_dict() | decided, logged


def main() -> None:
    """Do both and leave them in a folder, by process."""
    given = json.loads(sys.argv[1])
    out = Path(sys.argv[2])
    params = Params.model_validate(given["params"])
    for work in (fine_tuned, distilled):
        weights, said = work(given, params)
        name = f"{work.__name__}-{distributed.rank()}-of-{distributed.world_size()}"
        save_file({key: value.contiguous() for key, value in weights.items()}, out / f"{name}.safetensors")
        (out / f"{name}.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main()
