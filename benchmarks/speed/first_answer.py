"""The first answer of `l2a predict` from an ONNX folder: seconds from the command to its end, and peak memory.

    python -m benchmarks.speed.first_answer --against PATH

Beside it runs the `l2a` of another checkout, PATH, which has a `.venv` of its own. The two take turns; a figure is the
median of five rounds after one of warm-up, a ratio the median of the rounds' ratios.
"""

import statistics
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.errors import exit_on_input_error
from benchmarks.speed import default_run, measure, processes
from benchmarks.speed.measure import Figure

TEXT = "a film that never wakes up"


def main(
    against: Annotated[Path, typer.Option(help="Folder of another checkout.")],
    model: Annotated[Path, typer.Option(help="ONNX folder.")] = Path("models/int8"),
) -> None:
    """Measure both builds on the same folder."""
    folder = model if model.is_absolute() else default_run.output(str(model))
    builds = processes.checkouts(against, "l2a")
    peaks: dict[str, list[int]] = {name: [] for name in builds}
    words = ("predict", TEXT, "--model", str(folder))
    seconds = measure.side_by_side(
        {name: processes.l2a(checkout, *words, peaks=peaks[name]) for name, checkout in builds.items()}
    )
    # The first round is the warm-up.
    memory = {name: statistics.median(each[1:]) / 1e6 for name, each in peaks.items()}
    figures = [
        Figure("first answer", statistics.median(seconds["ours"]), "s", 0.6, at_most=True),
        Figure("first answer: peak memory", memory["ours"], "MB", 130, at_most=True),
        Figure("faster than the other build", measure.ratio(seconds, "other", "ours"), "times", 12),
        Figure("less memory than the other build", memory["other"] / memory["ours"], "times", 4),
        Figure("the other build: first answer", statistics.median(seconds["other"]), "s"),
        Figure("the other build: peak memory", memory["other"], "MB"),
    ]
    measure.publish("first_answer", figures)


if __name__ == "__main__":
    with exit_on_input_error():
        typer.run(main)
