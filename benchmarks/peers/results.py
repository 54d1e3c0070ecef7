"""Results of the peers: one JSON file for each row with a run for each seed, and the table of README.md."""

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.contestants import PEERS
from benchmarks.speed.measure import format_value, machine
from pipeline.data.texts import Texts
from pipeline.errors import InputError
from pipeline.evaluation.scoring import scores
from pipeline.storage.atomic import publish_file
from pipeline.storage.json_file import write_json

HERE = Path(__file__).parent
START, END = "<!-- table -->\n", "<!-- end of the table -->\n"
HEAD = ("", "accuracy", "parameters", "MB", "ms, one text", "ms a text in bulk", "minutes to make", "seeds")
STUDENTS = {
    "l2a-student": ("l2a: source and target labels", "models/student"),
    "l2a-int8": ("l2a, int8: source and target labels", "models/int8"),
}
"""This project's rows: what each is, and the folder of its model."""
Run = dict[str, Any]
"""What one seed gave: accuracy, F1, the figures of a script's row, the processor and its threads."""


def score(row: str, measured: Run, test: Texts) -> Run:
    """What a script wrote for a row, with the scores of its predictions in place of these, rounded to four decimals.

    Raises InputError if a text has no prediction, or one that is no class.
    """
    predicted, index = measured["predicted"], {name: label for label, name in enumerate(test.names)}
    if len(predicted) != len(test) or not set(predicted) <= set(index):
        raise InputError(
            f"{row}: got {len(predicted):,} predictions of {', '.join(sorted(set(predicted)))[:80]}; "
            f"accepted: {len(test):,} of {', '.join(test.names)[:80]}"
        )
    numbers = scores(test.labels, np.asarray([index[name] for name in predicted]), test.names)
    figures = {name: value for name, value in measured.items() if name != "predicted"}
    return {name: None if value is None else round(value, 4) for name, value in (numbers | figures).items()}


def measured_on(threads: int) -> Run:
    """The processor, and the threads of what was measured."""
    here = machine()
    return {"processor": here["processor"], "cores": here["cores"], "threads": threads}


def record(results: Path, row: str, run: Run) -> None:
    """Add a seed's run to the file of its row, in place of an earlier run of that seed."""
    path = results / f"{row}.json"
    others = [earlier for earlier in read_runs(results, row) if earlier["seed"] != run["seed"]]
    write_json(path, {"row": row, "runs": sorted([*others, run], key=lambda each: each["seed"])})


def read_runs(results: Path, row: str) -> list[Run]:
    """The runs of a row, by seed; none if it has not run."""
    path = results / f"{row}.json"
    return json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []


def table(results: Path) -> str:
    """Every row as Markdown, and the processors on which they were measured."""
    lines = [f"| {' | '.join(HEAD)} |", "|---|---" + "|---:" * (len(HEAD) - 2) + "|"]
    machines: dict[str, None] = {}
    rows = {row: what for peer in PEERS.values() for row, what in peer.rows.items()}
    for row, what in (rows | {row: what for row, (what, _) in STUDENTS.items()}).items():
        runs = read_runs(results, row)
        lines.append(f"| {' | '.join([what, *(_cells(runs) if runs else ['not run'] + [''] * (len(HEAD) - 2))])} |")
        for run in runs:
            threads = f"{run['threads']} thread{'s' if run['threads'] > 1 else ''}"
            machines[f"{threads} on {run['cores']} cores, {run['processor']}"] = None
    return "\n".join([*lines, "", f"Times are those of {'; '.join(machines)}." if machines else "", ""])


def render(results: Path, readme: Path) -> None:
    """Put the table into the page, in place of the earlier one."""
    page = readme.read_text(encoding="utf-8")
    before, rest = page.split(START)
    after = rest.split(END)[1]
    with publish_file(readme) as temporary:
        temporary.write_text(f"{before}{START}\n{table(results)}\n{END}{after}", encoding="utf-8")


def _cells(runs: list[Run]) -> list[str]:
    """Mean and standard deviation of the accuracy over seeds, the means of the others, and the seeds."""
    accuracies = [run["accuracy"] for run in runs]
    spread = f" ± {statistics.stdev(accuracies):.3f}" if len(runs) > 1 else ""
    mean = {name: statistics.fmean(run[name] for run in runs) for name in ("parameters", "megabytes")}
    times = [statistics.fmean(run[name] for run in runs) for name in ("ms_alone", "ms_bulk")]
    minutes = [run["minutes"] for run in runs if run["minutes"] is not None]
    return [
        f"{statistics.fmean(accuracies):.3f}{spread}",
        f"{mean['parameters'] / 1e6:.3g}M",
        format_value(mean["megabytes"]),
        *(format_value(time) for time in times),
        format_value(statistics.fmean(minutes)) if minutes else "",
        ", ".join(str(run["seed"]) for run in runs),
    ]
