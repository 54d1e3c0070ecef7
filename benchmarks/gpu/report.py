"""The figures of a number format: each stage's time, rate, share of the device's peak and memory, and the agreement."""

from pathlib import Path

from benchmarks.gpu.agreement import agreement
from benchmarks.gpu.counts import counts
from benchmarks.gpu.formats import computing_in, matrix_rate
from benchmarks.gpu.inputs import REFERENCE
from benchmarks.gpu.work import do_work
from benchmarks.speed.measure import Figure
from pipeline.compute import distributed


def measured(folder: Path, out: Path, number: str) -> list[Figure]:
    """Do the work of a folder in a number format into `out`; returns the figures."""
    peak = matrix_rate(distributed.device(), number)
    # Predictions are scored in float32, whatever models are trained in.
    peak_of_scores = matrix_rate(distributed.device(), "float32") if number == "bfloat16" else peak
    with computing_in(number):
        spent = do_work(folder, out)
    figures = []
    for stage, count in counts(folder, out).items():
        seconds, memory = spent[stage].seconds, spent[stage].memory
        rate = peak_of_scores if stage == "evaluate" else peak
        figures += [
            Figure(f"{stage}: time", seconds, "s"),
            Figure(f"{stage}: tokens", count.tokens / seconds, "per second"),
            Figure(f"{stage}: share of the matrix rate", 100 * count.operations / seconds / rate, "%"),
        ]
        if memory is not None:
            figures.append(Figure(f"{stage}: peak memory of the GPU", memory / 1e6, "MB"))
    figures.append(Figure("all stages: time", sum(each.seconds for each in spent.values()), "s"))
    figures.append(Figure("the device's matrix rate", peak / 1e9, "GFLOP/s"))
    return figures + agreement(folder / REFERENCE, out)
