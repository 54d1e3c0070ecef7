"""SetFit on the target's labels; with MPNet also SetFit's distillation of that model into MiniLM on unlabelled texts.

Settings are those of its documentation: batches of 16 and one epoch of pairs; for the distillation 500 steps.
"""

import tempfile
import time
from pathlib import Path

from datasets import Dataset
from setfit import DistillationTrainer, SetFitModel, Trainer, TrainingArguments
from sklearn.linear_model import LogisticRegression

from benchmarks.peers import logistic, sentence_encoder
from benchmarks.peers.protocol import Task, folder_size, read, read_task, write_row

DISTILLATION_STEPS = 500


def new_model(task: Task, encoder: str) -> SetFitModel:
    """A published embedding model with SetFit's default head, untrained."""
    return SetFitModel(model_body=sentence_encoder.load(task, encoder), model_head=LogisticRegression())


def settings(task: Task, folder: str, steps: int) -> TrainingArguments:
    """What all trainings share. Without a number of steps there is one epoch."""
    return TrainingArguments(
        output_dir=folder,
        batch_size=16,
        num_epochs=1,
        max_steps=steps,
        seed=task.seed,
        save_strategy="no",
        report_to="none",
        show_progress_bar=False,
    )


def measure(task: Task, row: str, model: SetFitModel, seconds: float) -> None:
    """Write the row of a trained model."""
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch)
        size = folder_size(Path(scratch))
    write_row(
        task,
        row,
        lambda texts: list(model.predict(texts)),
        parameters=sentence_encoder.parameters(model.model_body) + logistic.weights(model.model_head),
        size=size,
        seconds=seconds,
    )


def main() -> None:
    """Train on the labels and, with MPNet, distil."""
    task = read_task()
    labels, unlabelled = read(task, "train"), read(task, "unlabelled")
    start = time.perf_counter()
    model = new_model(task, task.model)
    with tempfile.TemporaryDirectory() as scratch:
        labelled = Dataset.from_dict({"text": labels.texts, "label": labels.labels})
        Trainer(model=model, args=settings(task, scratch, -1), train_dataset=labelled).train()
    seconds = time.perf_counter() - start
    measure(task, f"setfit-{task.model}", model, seconds)
    if task.model != "mpnet":
        return
    if not unlabelled.texts:
        print("setfit: no unlabelled texts: the row of its distillation is left out")
        return
    start = time.perf_counter()
    student = new_model(task, "minilm")
    with tempfile.TemporaryDirectory() as scratch:
        DistillationTrainer(
            teacher_model=model,
            student_model=student,
            args=settings(task, scratch, DISTILLATION_STEPS),
            train_dataset=Dataset.from_dict({"text": unlabelled.texts + labels.texts}),
        ).train()
    measure(task, "setfit-distilled", student, seconds + time.perf_counter() - start)


if __name__ == "__main__":
    main()
