"""The students of `dvc repro` beside the peers: the same test texts, timed from text to class as theirs are.

python -m benchmarks.peers.l2a
"""

import json
import os
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.errors import exit_on_input_error
from benchmarks.peers.environments import THREADS
from benchmarks.peers.protocol import Task, folder_size, write_row
from benchmarks.peers.results import HERE, STUDENTS, measured_on, record, render, score
from benchmarks.speed.default_run import default_params, output
from pipeline.data.texts import read_texts
from pipeline.serving.predict import Classifier
from pipeline.serving.runtime import open_folder


def main() -> None:
    """Measure the student in PyTorch and in int8, and put both into the table."""
    params, prepared = default_params(), output("data/prepared")
    numbers = json.loads(output("metrics/evaluation.json").read_text(encoding="utf-8"))["student"]
    test = read_texts(prepared / "test.parquet")
    for row, (_, path) in STUDENTS.items():
        folder = output(path)
        predict = partial(classes, open_folder(folder, path))
        with tempfile.TemporaryDirectory() as out:
            task = Task(prepared, Path(), Path(), Path(), "", params.seed, Path(out))
            write_row(task, row, predict, parameters=numbers["parameters"], size=folder_size(folder), seconds=None)
            measured = json.loads(Path(out, f"{row}.json").read_text(encoding="utf-8"))
        record(HERE / "results", row, {"seed": params.seed, **score(row, measured, test), **measured_on()})
    render(HERE / "results", HERE / "README.md")


def classes(model: Classifier, texts: list[str]) -> list[str]:
    """The class of each text."""
    return [model.names[index] for index in model.outputs(texts, None).argmax(axis=1)]


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", THREADS)
    with exit_on_input_error():
        main()
