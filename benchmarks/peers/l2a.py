"""The students of `dvc repro` beside the peers: the same test texts, timed from text to class as theirs are.

python -m benchmarks.peers.l2a
"""

import json
import tempfile
from functools import partial
from pathlib import Path

import torch

from benchmarks.errors import exit_on_input_error
from benchmarks.peers.data import Folders
from benchmarks.peers.protocol import Task, folder_size, write_row
from benchmarks.peers.results import HERE, STUDENTS, measured_on, record, render, score
from benchmarks.speed.default_run import ROOT, default_params, output
from pipeline.data.texts import read_texts
from pipeline.serving.predict import Classifier
from pipeline.serving.runtime import open_folder


def main() -> None:
    """Measure the student in PyTorch and in int8, and put both into the table."""
    seed = default_params().seed
    prepared = Folders(ROOT, str(output("data/prepared")), None).prepared_texts(seed)
    numbers = json.loads(output("metrics/evaluation.json").read_text(encoding="utf-8"))["student"]
    test = read_texts(prepared / "test.parquet")
    models = {row: open_folder(output(path), path) for row, (_, path) in STUDENTS.items()}
    for row, model in models.items():
        folder = output(STUDENTS[row][1])
        with tempfile.TemporaryDirectory() as out:
            task = Task(prepared, Path(), Path(), Path(), "", seed, Path(out))
            predict = partial(classes, model)
            write_row(task, row, predict, parameters=numbers["parameters"], size=folder_size(folder), seconds=None)
            measured = json.loads(Path(out, f"{row}.json").read_text(encoding="utf-8"))
        run = {"seed": seed, **score(row, measured, test), **measured_on(torch.get_num_threads())}
        record(HERE / "results", row, run)
    render(HERE / "results", HERE / "README.md")


def classes(model: Classifier, texts: list[str]) -> list[str]:
    """The class of each text."""
    return [model.names[index] for index in model.outputs(texts, None).argmax(axis=1)]


if __name__ == "__main__":
    with exit_on_input_error():
        main()
