"""The report on a run of the pipeline: one self-contained HTML file."""

import csv
from dataclasses import dataclass
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.addresses.commits import with_commit
from pipeline.data.texts import read_texts
from pipeline.evaluation.scoring import metric_names
from pipeline.params.schema import Params
from pipeline.report import scores
from pipeline.report.confusion import confusions, disagreements, label_values, scatters
from pipeline.report.curves import curves
from pipeline.report.inputs import (
    MODELS,
    SERVED_MODELS,
    DataMetrics,
    ServingMetrics,
    read_json,
    read_predictions,
    read_scores,
)
from pipeline.report.markup import finalize
from pipeline.report.selection import read_selection
from pipeline.storage.atomic import check_output, publish_file


@dataclass(frozen=True)
class Inputs:
    """Files and folders that other stages wrote; `serving` and `selection` may be missing."""

    prepared: Path
    data: Path
    evaluation: Path
    predictions: Path
    curves: Path
    augmented: Path
    selection: Path
    serving: Path


def report(params: Params, inputs: Inputs, out: Path, plots: Path) -> str:
    """Write the page; the same inputs give the same bytes.

    Args:
        plots: CSV for DVC to plot, by edit distance: the number of neighbours `drawn` and the `share_kept`.

    Returns a one-line summary. Raises InputError that names the first input that is missing, damaged or of another run,
    and the stage to run; or `out` if no page can be written there.
    """
    check_output(out, "--out", folder=False)
    prepared = read_json(inputs.data, DataMetrics, "prepare")
    test = read_texts(inputs.prepared / "test.parquet")
    measured, metric = read_scores(inputs.evaluation, metric_names(test.names))
    # The one that decided comes first.
    metrics = sorted(metric_names(test.names), key=lambda name: name != metric)
    predictions = read_predictions(inputs.predictions, test)
    serving = read_json(inputs.serving, ServingMetrics, "export") if inputs.serving.exists() else None
    selection = read_selection(inputs.selection, inputs.augmented) if inputs.selection.exists() else None
    worse, better = disagreements(test, predictions)

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = scores.format_number
    environment.filters["unit"] = scores.format_in_unit
    environment.filters["commit"] = lambda address, key: with_commit(key, address)
    page = environment.get_template("page.html").render(
        params=params,
        inputs=inputs,
        models=MODELS,
        served=SERVED_MODELS,
        metric=metric,
        metrics={name: scores.METRICS[name] for name in metrics},
        test=test,
        correct={
            name: sum(a == b for a, b in zip(predictions[name], label_values(test), strict=True)) for name in MODELS
        },
        majority=scores.majority_class(prepared.splits["test"].labels, len(test)) if test.names else None,
        prepared=prepared,
        measured=measured,
        cards=scores.cards(measured, serving, metric),
        score_chart=scores.score_chart(measured, metric),
        serving=serving,
        lengths=serving.lengths() if serving else [],
        latency_chart=scores.latency_chart(serving) if serving else None,
        losses=[f"{name} × {getattr(params.objectives, name):g}" for name in params.objectives.active()],
        curves=curves(inputs.curves, scores.METRICS[metric]),
        selection=selection,
        confusions=confusions(test, predictions) if test.names else [],
        scatters=[] if test.names else scatters(test, predictions),
        worse=worse,
        better=better,
        all_params=yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
    )
    groups = selection.distances if selection else []
    with publish_file(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
        with publish_file(plots) as temporary_plots, temporary_plots.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["distance", "drawn", "share_kept"])
            writer.writerows([group.name, group.texts, round(group.share, 4)] for group in groups)
    return f"{len(page.encode()) / 1e3:,.0f} kB, in {out}"
