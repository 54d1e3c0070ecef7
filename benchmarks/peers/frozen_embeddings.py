"""Logistic regression on the embeddings of a frozen model: on the target's labels, and on source and target."""

import time

from benchmarks.peers import logistic, sentence_encoder
from benchmarks.peers.protocol import Task, Texts, read, read_task, write_row


def measure(task: Task, row: str, texts: Texts, validation: Texts) -> None:
    """Embed labelled texts, fit a head and write the row."""
    start = time.perf_counter()
    model = sentence_encoder.load(task)
    head = logistic.fit(
        model.encode(texts.texts, show_progress_bar=False),
        texts.labels,
        model.encode(validation.texts, show_progress_bar=False),
        validation.labels,
    )
    seconds = time.perf_counter() - start
    write_row(
        task,
        row,
        lambda texts: list(head.predict(model.encode(texts, show_progress_bar=False))),
        parameters=sentence_encoder.parameters(model) + logistic.weights(head),
        size=sentence_encoder.saved_size(model) + logistic.saved_size(head),
        seconds=seconds,
    )


def main() -> None:
    """Measure one embedding model with both choices of labels."""
    task = read_task()
    labels, validation, source = (read(task, split) for split in ("train", "validation", "source"))
    measure(task, f"{task.model}-labels", labels, validation)
    if not source.fits(labels):
        print("frozen_embeddings: the source has no texts, or other classes: its row is left out")
        return
    measure(task, f"{task.model}-both", source + labels, validation)


if __name__ == "__main__":
    main()
