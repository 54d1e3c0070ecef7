"""Timing of contestants that take turns, so that a slowdown of the machine affects all alike, and the tables."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.storage.json_file import write_json

RESULTS = Path(__file__).parent / "results"
ROUNDS = 5
Seconds = Mapping[str, Sequence[float]]
"""Seconds of each contestant in each round."""


@dataclass(frozen=True)
class Figure:
    """A measured value, possibly with a goal."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    at_most: bool = False
    """Whether the goal is an upper bound; otherwise it is a lower bound."""

    @property
    def reached(self) -> bool:
        """Whether the goal is reached; True if there is none."""
        if self.goal is None:
            return True
        return self.value <= self.goal if self.at_most else self.value >= self.goal


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """Turn `work` into a contestant, which returns the seconds that it took."""

    def contestant() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return contestant


def side_by_side(contestants: Mapping[str, Callable[[], float]], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Let contestants take turns, after one round of warm-up; returns the seconds of each in each round."""
    for contestant in contestants.values():
        contestant()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            seconds[name].append(contestant())
    return seconds


def ratio(seconds: Seconds, slow: str, fast: str) -> float:
    """How many times longer one contestant took than another: the median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(seconds[slow], seconds[fast], strict=True))


def rate(seconds: Seconds, name: str, units: float) -> float:
    """Units per second: the median of the rounds."""
    return units / statistics.median(seconds[name])


def publish(name: str, figures: Sequence[Figure], folder: Path | None = None) -> None:
    """Print a Markdown table of the figures and write `<name>.json` into a folder, by default `results`."""
    print(table(figures))
    goals = [asdict(figure) | {"reached": figure.reached} for figure in figures if figure.goal is not None]
    others = [
        {key: asdict(figure)[key] for key in ("name", "value", "unit")} for figure in figures if figure.goal is None
    ]
    write_json((folder or RESULTS) / f"{name}.json", {"goals": goals, "figures": others, "machine": machine()})


def table(figures: Sequence[Figure]) -> str:
    """Figures as a Markdown table."""
    lines = ["| | measured | goal | |", "|---|---:|---:|---|"]
    for figure in figures:
        goal = ""
        if figure.goal is not None:
            goal = f"{'at most' if figure.at_most else 'at least'} {format_value(figure.goal)}"
        mark = "" if figure.goal is None else "reached" if figure.reached else "**missed**"
        lines.append(f"| {figure.name} | {format_value(figure.value)} {figure.unit} | {goal} | {mark} |")
    return "\n".join(lines)


def format_value(value: float) -> str:
    """Three significant digits, but all digits before the decimal point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def machine() -> dict[str, Any]:
    """What the figures depend on: processor, cores, threads, number format, the GPU if there is one, and libraries."""
    import torch

    from pipeline.compute.distributed import device
    from pipeline.compute.precision import number_format

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        named = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = named[0] if named else cpu
    return {
        "processor": cpu,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "precision": number_format(device()),
        **({"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers")},
    }
