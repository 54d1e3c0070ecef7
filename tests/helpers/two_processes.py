"""Trains on one or several processes and saves each one's weights: `torchrun … two_processes.py INPUTS OUT`."""

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
from pipeline.distill.run import Distillation
from pipeline.evaluation.validation import Validation
from pipeline.models.loading import load_classifier, load_tokenizer
from pipeline.models.student import build_student
from pipeline.params.schema import Params
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.finetune import fine_tune


def no_dropout(model: torch.nn.Module) -> None:
    """Set dropout to 0: the only randomness here that processes do not share."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def fine_tuned(inputs: dict[str, Any], params: Params) -> tuple[dict[str, torch.Tensor], Any]:
    """A fine-tuned classifier's weights and its metrics."""
    prepared = Path(inputs["prepared"])
    train, validation = (read_texts(prepared / f"{name}.parquet") for name in ("train", "validation"))
    model = load_classifier(Path(inputs["teacher"]), "teacher", train.names)
    no_dropout(model)
    tokenizer = load_tokenizer(Path(inputs["teacher"]), "teacher")
    options = {
        "max_length": params.max_length,
        "seed": 1,
        "section": "teacher",
        "checkpoint": Checkpoint("test", "pipeline.training.checkpoint", run=inputs),
    }
    metrics = fine_tune(model, tokenizer, [(train, 3)], validation, params.teacher, **options)
    return model.state_dict(), metrics


def distilled(inputs: dict[str, Any], params: Params) -> tuple[dict[str, torch.Tensor], Any]:
    """A distilled student's weights with π and the decisions, and the logged figures."""
    prepared, teacher = Path(inputs["prepared"]), Path(inputs["teacher"])
    tokenizer = load_tokenizer(teacher, "teacher")
    validation = read_texts(prepared / "validation.parquet")
    student = build_student(params, teacher=teacher, labels=validation.names, pairs=False)
    no_dropout(student)
    dataset = read_dataset(
        params,
        prepared=prepared,
        augmented=Path(inputs["augmented"]),
        cache=Path(inputs["cache"]),
        tokenizer=tokenizer,
        teacher_tokenizer=tokenizer,
    )
    logged: list[Any] = []
    scorer = Validation(validation, tokenizer, params.max_length)
    result = distill(Distillation(student, 32, dataset, scorer, params, lambda *figures: logged.append(figures)))
    decisions = {"pi": torch.from_numpy(result.pi), "kept": torch.from_numpy(result.kept)}
    return student.state_dict() | decisions, logged


def main() -> None:
    """Run both trainings and write weights and metrics of this process to the folder OUT."""
    inputs = json.loads(sys.argv[1])
    out = Path(sys.argv[2])
    params = Params.model_validate(inputs["params"])
    for work in (fine_tuned, distilled):
        weights, metrics = work(inputs, params)
        name = f"{work.__name__}-{distributed.rank()}-of-{distributed.world_size()}"
        save_file({key: value.contiguous() for key, value in weights.items()}, out / f"{name}.safetensors")
        (out / f"{name}.json").write_text(json.dumps(metrics))


if __name__ == "__main__":
    main()
