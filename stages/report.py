"""One HTML page of what the run came to, for whoever decides and whoever checks."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import ParamsFile, stage

OfRound = "; if not given, the last round's."


def main(
    params: ParamsFile = Path("params.yaml"),
    prepared: Annotated[Path, typer.Option(help="Folder of the prepared texts.")] = Path("data/prepared"),
    data: Annotated[Path, typer.Option(help="What prepare counted.")] = Path("metrics/data.json"),
    evaluation: Annotated[Path, typer.Option(help="What evaluate measured.")] = Path("metrics/evaluation.json"),
    predictions: Annotated[Path, typer.Option(help="What each model predicted.")] = Path("plots/predictions.csv"),
    curves: Annotated[Path | None, typer.Option(help=f"Folder of dvclive's curves{OfRound}")] = None,
    augmented: Annotated[Path | None, typer.Option(help=f"Folder of the neighbours{OfRound}")] = None,
    selection: Annotated[Path | None, typer.Option(help=f"π of every neighbour{OfRound}")] = None,
    serving: Annotated[Path, typer.Option(help="What export measured; may be missing.")] = Path("metrics/serving.json"),
    plots: Annotated[Path, typer.Option(help="Neighbours by distance.")] = Path("plots/neighbours.csv"),
    page: Annotated[Path, typer.Option("--out", help="The page.")] = Path("report.html"),
) -> str:
    """Tell in one page what went in, how good, large and fast the models are, and what they get wrong."""
    from pipeline.params.file import load

    checked = load(params)
    from pipeline.report.report import Inputs, report

    last = Path(f"rounds/{checked.rounds}")
    first = checked.rounds == 1
    inputs = Inputs(
        prepared=prepared,
        data=data,
        evaluation=evaluation,
        predictions=predictions,
        curves=curves or (Path("dvclive") if first else last / "curves"),
        augmented=augmented or (Path("data/augmented") if first else last / "augmented"),
        selection=selection or (Path("data/selection.parquet") if first else last / "selection.parquet"),
        serving=serving,
    )
    return report(checked, inputs, page, plots)


app = stage(main, reads=("curves", "selection"))

if __name__ == "__main__":
    app()
