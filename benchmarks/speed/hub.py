"""What a run from ids of the hub spends on it once all is in the cache: seconds within requests, and requests.

    PYTHONPATH=tests python -m benchmarks.speed.hub --against PATH

Models and tables are those of the start-up benchmark, served on 127.0.0.1 by the hub of the tests. Each round runs
all stages in a folder without outputs and without `hub.json`. Beside it runs the code of another checkout, PATH,
which has a `.venv` of its own; it gets those params that its own params.yaml has. The two take turns; figures are
medians of five rounds after the one that fills the cache.
"""

import shutil
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

# Before the libraries, which read where the hub is when they are imported.
from helpers.hub import Hub  # isort: skip

from benchmarks.errors import exit_on_input_error
from benchmarks.speed.default_run import ROOT
from benchmarks.speed.measure import ROUNDS, Figure, publish
from benchmarks.speed.processes import checkouts
from benchmarks.speed.startup import STAGES, measured, write_inputs
from pipeline.params.yaml12 import read_yaml, to_yaml

HUB_SECONDS = Path(__file__).with_name("hub_seconds.py")


@dataclass(frozen=True)
class Spent:
    """What a run spends on the hub."""

    seconds: float
    requests: int


def main(against: Annotated[Path, typer.Option(help="Folder of another checkout.")]) -> None:
    """Measure both builds with the same hub."""
    builds = checkouts(against)
    spent: dict[str, list[Spent]] = {build: [] for build in builds}
    hub = Hub()
    hub.start()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            published = Path(scratch)
            params = publish_inputs(hub, published)
            for _ in range(1 + ROUNDS):
                for build, checkout in builds.items():
                    folder = published / build
                    spent[build].append(run(checkout, folder, params))
    finally:
        hub.stop()
    publish("hub", figures(spent["ours"][1:], spent["other"][1:]))


def figures(ours: list[Spent], other: list[Spent]) -> list[Figure]:
    """Seconds and requests of both builds."""
    seconds, theirs = (statistics.median(each.seconds for each in build) for build in (ours, other))
    share = statistics.median(mine.seconds / other_one.seconds for mine, other_one in zip(ours, other, strict=True))
    before = statistics.median(each.requests for each in other)
    return [
        Figure("on the hub, all stages", seconds, "s", 1, at_most=True),
        Figure("share of what the other build spends", 100 * share, "%", 50, at_most=True),
        Figure("requests", statistics.median(each.requests for each in ours), "", before, at_most=True),
        Figure("the other build: on the hub, all stages", theirs, "s"),
    ]


def publish_inputs(hub: Hub, folder: Path) -> dict[str, Any]:
    """Put small tables and narrow models on the hub; returns params that name them by id."""
    write_inputs(folder, ROOT)
    params = read_yaml(folder / "params.yaml")
    for role in ("teacher", "generator"):
        hub.publish(f"models/{role}", folder / role)
        params[role]["model"] = f"models/{role}"
    # What earlier builds take, too.
    params["student"] |= {"init": "teacher", "model": None, "pooling": "first_token"}
    params["generator"]["adapter"] = str(folder / params["generator"]["adapter"])
    for domain in ("source", "target"):
        table = params["data"][domain]["path"]
        hub.publish(f"tables/{domain}", {table: (folder / table).read_bytes()}, kind="dataset")
        params["data"][domain]["path"] = f"tables/{domain}"
    params["selector"]["reward"] = "loss"
    params["distill"]["originals"] = ["source", "target"]
    return params


def known(params: dict[str, Any], to: dict[str, Any]) -> dict[str, Any]:
    """What another build's params.yaml names, too."""
    return {
        key: known(value, to[key]) if isinstance(value, dict) and isinstance(to[key], dict) else value
        for key, value in params.items()
        if key in to
    }


def run(checkout: Path, folder: Path, params: dict[str, Any]) -> Spent:
    """Run all stages that a checkout has, in `folder`, which keeps nothing but the hub's cache. Raises InputError."""
    cache = folder.with_name(f"{folder.name}-cache")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    theirs = read_yaml(checkout / "params.yaml")
    (folder / "params.yaml").write_text(to_yaml(known(params, theirs)), encoding="utf-8")
    seconds, requests = 0.0, 0
    for stage in STAGES:
        if (checkout / f"stages/{stage}.py").is_file():
            took, asked = measured(HUB_SECONDS, [f"stages.{stage}"], checkout, folder, {"HF_HOME": str(cache)})
            seconds, requests = seconds + took, requests + int(asked)
    return Spent(seconds, requests)


if __name__ == "__main__":
    with exit_on_input_error():
        typer.run(main)
