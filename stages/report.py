"""One HTML page with the results of a run: scores, curves, neighbours and errors."""

from pathlib import Path
from typing import Annotated

import typer

from stages.command import OF_LAST_ROUND, ParamsFile, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    prepared: Annotated[Path, typer.Option(help="Folder of the prepared texts.")] = Path("data/prepared"),
    data: Annotated[Path, typer.Option(help="File of the texts' counts.")] = Path("metrics/data.json"),
    evaluation: Annotated[Path, typer.Option(help="File of the scores.")] = Path("metrics/evaluation.json"),
    predictions: Annotated[Path, typer.Option(help="File of each model's predictions.")] = Path(
        "plots/predictions.csv"
    ),
    curves: Annotated[Path | None, typer.Option(help=f"Folder of dvclive's curves{OF_LAST_ROUND}")] = None,
    augmented: Annotated[Path | None, typer.Option(help=f"Folder of the neighbours' shards{OF_LAST_ROUND}")] = None,
    selection: Annotated[Path | None, typer.Option(help=f"π of every neighbour{OF_LAST_ROUND}")] = None,
    serving: Annotated[Path, typer.Option(help="File of size and speed; may be missing.")] = Path(
        "metrics/serving.json"
    ),
    plots: Annotated[Path, typer.Option(help="File for the neighbours by distance.")] = Path("plots/neighbours.csv"),
    page: Annotated[Path, typer.Option("--out", help="File for the page.")] = Path("report.html"),
) -> str:
    """Show the data, how good, large and fast the models are, and their errors, on one page."""
    from pipeline.params.file import load
    from pipeline.storage.layout import Layout

    checked = load(params)
    from pipeline.report.report import Inputs, report

    layout = Layout(checked.rounds)
    inputs = Inputs(
        prepared=prepared,
        data=data,
        evaluation=evaluation,
        predictions=predictions,
        curves=curves or layout.curves,
        augmented=augmented or layout.augmented,
        selection=selection or layout.selection,
        serving=serving,
    )
    return report(checked, inputs, page, plots)


app = stage(main, reads=("curves", "selection"))

if __name__ == "__main__":
    app()
