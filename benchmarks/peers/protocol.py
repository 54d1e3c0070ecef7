"""What a peer's script gets and gives: its arguments, the prepared texts, and the measured rows of the table.

Scripts run in the peers' environments, where this project and its dependencies are not installed: this module and the
scripts import nothing of `pipeline`.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

SINGLES = 200
"""Test texts that are predicted one at a time; their median is the time of one text."""
Predict = Callable[[list[str]], Sequence[str]]
"""From texts to their classes' names."""


@dataclass(frozen=True)
class Task:
    """The arguments of a script.

    Args:
        prepared: folder of the prepared texts.
        teacher: folder of a fine-tuned classifier; only for peers that distil from one.
        minilm, mpnet: folders of all-MiniLM-L6-v2 and, for peers that use it, all-mpnet-base-v2.
        model: which of the two a script uses that works with either.
        out: folder for the measured rows.
    """

    prepared: Path
    teacher: Path
    minilm: Path
    mpnet: Path
    model: str
    seed: int
    out: Path

    @property
    def encoder(self) -> Path:
        """The folder of `model`."""
        return self.mpnet if self.model == "mpnet" else self.minilm


def read_task() -> Task:
    """The arguments of this process."""
    parser = argparse.ArgumentParser()
    for name in ("prepared", "minilm", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("mpnet", "teacher"):
        parser.add_argument(f"--{name}", type=Path, default=Path())
    parser.add_argument("--model", choices=("minilm", "mpnet"), default="minilm")
    parser.add_argument("--seed", type=int, required=True)
    return Task(**vars(parser.parse_args()))


@dataclass(frozen=True)
class Texts:
    """Texts and the names of their classes; texts without labels have none."""

    texts: list[str]
    labels: list[str]

    def __add__(self, other: "Texts") -> "Texts":
        return Texts(self.texts + other.texts, self.labels + other.labels)

    def fits(self, target: "Texts") -> bool:
        """Whether there are labels, all of classes that the target's texts have."""
        return bool(self.labels) and set(self.labels) <= set(target.labels)


def read(task: Task, split: str) -> Texts:
    """The texts of a prepared file; none if there is no such file."""
    path = task.prepared / f"{split}.parquet"
    if not path.is_file():
        return Texts([], [])
    table = pq.read_table(path)
    labels = table["label"].to_pylist() if "label" in table.column_names else []
    return Texts(table["text"].to_pylist(), [] if None in labels else labels)


def folder_size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write_row(task: Task, row: str, predict: Predict, *, parameters: int, size: int, seconds: float | None) -> None:
    """Let a model predict the test texts, one at a time and all at once, and write what was measured.

    Args:
        row: the name of the row in the table.
        parameters: of the whole model.
        size: bytes of the model's files.
        seconds: what it took to make the model from the texts; None if that was not measured.
    """
    texts = read(task, "test").texts
    predict(texts[:1])
    alone = []
    for text in texts[:SINGLES]:
        start = time.perf_counter()
        predict([text])
        alone.append(time.perf_counter() - start)
    start = time.perf_counter()
    predicted = [str(label) for label in predict(texts)]
    bulk = time.perf_counter() - start
    measured = {
        "predicted": predicted,
        "parameters": parameters,
        "megabytes": size / 1e6,
        "ms_alone": statistics.median(alone) * 1e3,
        "ms_bulk": bulk / len(texts) * 1e3,
        "minutes": None if seconds is None else seconds / 60,
    }
    (task.out / f"{row}.json").write_text(json.dumps(measured), encoding="utf-8")
