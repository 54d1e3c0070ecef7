"""TextBrewer's distillation of the predictions of this project's teacher into three layers of MiniLM.

The loss is the cross-entropy with the teacher's softmax (L_dark, Eq. 3) on the unlabelled and the target's training
texts; after each epoch the student is measured on the validation texts, and the best one kept.
"""

import copy
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from textbrewer import BasicDistiller, DistillationConfig, TrainingConfig
from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup

from benchmarks.peers.protocol import Predict, folder_size, read, read_task, write_row

EPOCHS = 5
BATCH = 48
LEARNING_RATE = 2e-4
LAYERS = 3
MAX_LENGTH = 128
"""Tokens of a text that both models read."""


def predictor(model: Any, tokenizer: Any) -> Predict:
    """The classes of texts, in batches of 32."""

    @torch.inference_mode()
    def predict(texts: list[str]) -> list[str]:
        model.eval()
        labels: list[str] = []
        for start in range(0, len(texts), 32):
            logits = model(**encode(tokenizer, texts[start : start + 32])).logits
            labels += [model.config.id2label[int(label)] for label in logits.argmax(-1)]
        return labels

    return predict


def encode(tokenizer: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    """The inputs of a model, padded to the longest text."""
    return dict(tokenizer(texts, padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt"))


class Batches:
    """Batches in a new order each epoch, with the teacher's logits, which are computed once."""

    def __init__(self, texts: list[str], tokenizer: Any, teacher: Any, teacher_tokenizer: Any) -> None:
        self.texts, self.tokenizer, self.teacher_tokenizer = texts, tokenizer, teacher_tokenizer
        with torch.inference_mode():
            parts = [
                teacher(**encode(teacher_tokenizer, texts[start : start + BATCH])).logits
                for start in range(0, len(texts), BATCH)
            ]
        self.logits = torch.cat(parts).clone()

    def __len__(self) -> int:
        """The number of batches."""
        return -(-len(self.texts) // BATCH)

    def __iter__(self) -> Any:
        for rows in torch.randperm(len(self.texts)).split(BATCH):
            student = encode(self.tokenizer, [self.texts[row] for row in rows])
            # The teacher's inputs are named but not read: its outputs come from the cache.
            yield {"student": student, "teacher": {}, "teacher_cache": {"logits": self.logits[rows]}}


def main() -> None:
    """Distil and write the row."""
    task = read_task()
    logging.disable(logging.INFO)
    labels, validation, unlabelled = (read(task, split) for split in ("train", "validation", "unlabelled"))
    torch.manual_seed(task.seed)
    start = time.perf_counter()
    teacher = AutoModelForSequenceClassification.from_pretrained(task.teacher).eval()
    config = teacher.config
    tokenizer = AutoTokenizer.from_pretrained(task.minilm)
    student = AutoModelForSequenceClassification.from_pretrained(
        task.minilm, num_hidden_layers=LAYERS, id2label=config.id2label, label2id=config.label2id
    )
    batches = Batches(unlabelled.texts + labels.texts, tokenizer, teacher, AutoTokenizer.from_pretrained(task.teacher))
    best: tuple[float, Any] = (-1.0, None)

    def keep_best(model: Any, step: int) -> None:
        nonlocal best
        predicted = predictor(model, tokenizer)(validation.texts)
        accuracy = sum(a == b for a, b in zip(predicted, validation.labels, strict=True)) / len(predicted)
        if accuracy > best[0]:
            best = (accuracy, copy.deepcopy(model.state_dict()))

    def adaptor(_batch: Any, outputs: Any) -> dict[str, Any]:
        return {"logits": outputs["logits"]}

    steps = EPOCHS * len(batches)
    with tempfile.TemporaryDirectory() as scratch:
        distiller = BasicDistiller(
            TrainingConfig(device="cpu", output_dir=scratch),
            DistillationConfig(temperature=1, kd_loss_type="ce", hard_label_weight=0),
            teacher,
            student,
            adaptor,
            adaptor,
        )
        with distiller:
            distiller.train(
                torch.optim.AdamW(student.parameters(), lr=LEARNING_RATE, weight_decay=0.01),
                batches,
                num_epochs=EPOCHS,
                scheduler_class=get_linear_schedule_with_warmup,
                scheduler_args={"num_warmup_steps": steps // 10, "num_training_steps": steps},
                max_grad_norm=1.0,
                callback=keep_best,
            )
    student.load_state_dict(best[1])
    seconds = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as scratch:
        student.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        size = folder_size(Path(scratch))
    write_row(
        task,
        "textbrewer",
        predictor(student, tokenizer),
        parameters=student.num_parameters(),
        size=size,
        seconds=seconds,
    )


if __name__ == "__main__":
    main()
