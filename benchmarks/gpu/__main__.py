"""Pack inputs and a CPU's outputs into a folder, or run the pipeline's work on such a folder and print what it took.

    python -m benchmarks.gpu pack FOLDER
    python -m benchmarks.gpu run FOLDER

`run` needs neither DVC nor the packages that the models and texts came in.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.errors import exit_on_input_error

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
PRESET = ROOT / "presets" / "quick.yaml"
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def pack(
    folder: Annotated[Path, typer.Argument(help="Folder to write.")],
    share: Annotated[float, typer.Option(help="Of the texts and steps of the preset quick, for a try.")] = 1.0,
) -> None:
    """Write a folder for `run`: texts, models, and what this machine's CPU makes of them in float32."""
    with exit_on_input_error():
        from benchmarks.gpu.formats import computing_in
        from benchmarks.gpu.inputs import REFERENCE
        from benchmarks.gpu.packing import cut_down, write_inputs
        from benchmarks.gpu.work import AUGMENTED, EVALUATION, LOGITS, do_work
        from pipeline.compute import distributed
        from pipeline.errors import InputError
        from pipeline.params.file import load
        from pipeline.storage.atomic import publish_folder

        if not 0 < share <= 1:
            raise InputError(f"--share: got {share}; accepted: above 0, to 1")
        if distributed.device().type != "cpu":
            raise InputError(f"pack: got {distributed.device()}; accepted: a CPU, by CUDA_VISIBLE_DEVICES=")
        params = cut_down(load(PRESET), share)
        with tempfile.TemporaryDirectory() as scratch, publish_folder(folder) as packed, computing_in("float32"):
            write_inputs(params, packed, Path(scratch))
            out = Path(scratch, "out")
            out.mkdir()
            do_work(packed, out)
            shutil.copytree(out / AUGMENTED, packed / REFERENCE / AUGMENTED)
            for name in (LOGITS, EVALUATION):
                shutil.copyfile(out / name, packed / REFERENCE / name)
            size = sum(file.stat().st_size for file in packed.rglob("*") if file.is_file())
        typer.echo(f"{size / 1e6:.1f} MB, in {folder}")


@app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="Folder that `pack` has written.")],
    out: Annotated[Path, typer.Option(help="Folder for a JSON file of each number format.")] = RESULTS,
) -> None:
    """Run the work in each number format that this machine has, and print times, rates, memory and agreement."""
    with exit_on_input_error():
        from benchmarks.gpu.formats import formats_of
        from benchmarks.gpu.inputs import read_params
        from benchmarks.gpu.report import measured
        from benchmarks.speed.measure import publish
        from pipeline.compute import distributed

        read_params(folder)
        for number in formats_of(distributed.device()):
            # As soon as there are figures, in case a later format has not the time.
            with tempfile.TemporaryDirectory() as scratch:
                figures = measured(folder, Path(scratch), number)
            typer.echo(f"\n{number}\n")
            publish(number, figures, out)


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    app()
