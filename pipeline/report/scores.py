"""Scores, sizes and speeds of the models: a table, charts, and the summary cards at the top of the page."""

from dataclasses import dataclass

from markupsafe import Markup

from pipeline.evaluation.scoring import readable
from pipeline.report import charts
from pipeline.report.inputs import MODELS, SERVED_MODELS, EvaluationMetrics, ServingMetrics

METRICS = {
    "accuracy": "accuracy",
    "f1": "F1",
    "mcc": "MCC",
    "r2": "R²",
    "pearson": "Pearson's r",
    "spearman": "Spearman's ρ",
    "mae": "MAE",
    "rmse": "RMSE",
}


@dataclass(frozen=True)
class Card:
    """A number with its label and a line of detail."""

    value: str
    label: str
    detail: str


def format_number(value: float | None, decimals: int = 3, *, sign: bool = False) -> str:
    """A number with a fixed number of decimals, or "undefined"."""
    if value is None:
        return "undefined"
    # Adding 0.0 turns −0.0 into 0.0.
    value = round(value, decimals) + 0.0
    return f"{value:{'+' if sign else ''},.{decimals}f}".replace("-", charts.MINUS)


def format_in_unit(value: float | None) -> str:
    """A number in the labels' unit, which may be of any size, or "undefined"."""
    return "undefined" if value is None else f"{readable(value):,}".replace("-", charts.MINUS)


def score_chart(measured: EvaluationMetrics, metric: str) -> Markup | None:
    """The models' scores with their intervals; None if they are undefined."""
    rows = []
    for name, model in MODELS.items():
        bounds = [measured[name][key] for key in (metric, f"{metric}_low", f"{metric}_high")]
        defined = [bound for bound in bounds if bound is not None]
        if len(defined) == 3:
            rows.append((model, defined[0], defined[1], defined[2]))
    if not rows:
        return None
    title = f"{METRICS[metric].capitalize() if metric == 'accuracy' else METRICS[metric]} on the test set"
    return charts.intervals(rows, title=title, note="The lines are 95 % intervals.", x=METRICS[metric])


def cards(measured: EvaluationMetrics, serving: ServingMetrics | None, metric: str) -> list[Card]:
    """The summary: the student's score, its differences to the other models, its size and speed."""
    scores = {name: measured[name][metric] for name in MODELS}
    student = scores["student"]
    low, high = (format_number(measured["student"][f"{metric}_{bound}"]) for bound in ("low", "high"))
    summary = [Card(format_number(student), f"{METRICS[metric]} of the student", f"95 % interval {low} to {high}")]
    for name, other in (("the teacher", scores["teacher"]), ("Student-FT", scores["student_ft"])):
        if student is not None and other is not None:
            difference = format_number(round(student - other, 4), sign=True)
            summary.append(Card(difference, f"compared with {name}", f"{name} has {format_number(other)}"))
    return [*summary, *(_serving_cards(serving) if serving else _evaluation_cards(measured))]


def _evaluation_cards(measured: EvaluationMetrics) -> list[Card]:
    (small, large), (fast, slow) = (
        [measured[name][key] or 0.0 for name in ("student", "teacher")] for key in ("bytes", "sentences_per_second")
    )
    return [
        Card(_ratio(small, large), "the teacher's size", f"{small / 1e6:,.1f} MB instead of {large / 1e6:,.1f}"),
        Card(_ratio(fast, slow), "the teacher's speed", f"{fast:,.0f} texts per second instead of {slow:,.0f}"),
    ]


def _serving_cards(serving: ServingMetrics) -> list[Card]:
    """Size and speed of the last of SERVED_MODELS that was measured and not left out, which is the one to serve."""
    models = {name: model for name, model in serving.models().items() if not model.left_out}
    name = list(models)[-1] if models else "teacher"
    if name == "teacher" or "teacher" not in models:
        return []
    student, teacher = models[name], models["teacher"]
    small, large = student.bytes / 1e6, teacher.bytes / 1e6
    kind = f" as {SERVED_MODELS[name]}" if name != "student" else ""
    summary = [Card(_ratio(small, large), "the teacher's size", f"{small:,.1f} MB{kind} instead of {large:,.1f}")]
    both = sorted(student.latencies().keys() & teacher.latencies().keys(), key=lambda tokens: (tokens != 64, tokens))
    if both:
        fast, slow = (model.latencies()[both[0]].median_ms for model in (student, teacher))
        detail = f"{fast:,.1f} ms{kind} for a text of {both[0]} tokens instead of {slow:,.1f}"
        summary.append(Card(_ratio(slow, fast), "the teacher's speed", detail))
    return summary


def _ratio(numerator: float, denominator: float) -> str:
    return f"{numerator / denominator:.2f}×" if denominator else "undefined"


def latency_chart(serving: ServingMetrics) -> Markup | None:
    """Milliseconds for one text by its number of tokens; None if no model was timed at two lengths."""
    series = {
        SERVED_MODELS[name]: [(float(tokens), latency.median_ms) for tokens, latency in model.latencies().items()]
        for name, model in serving.models().items()
        if not model.left_out
    }
    series = {name: points for name, points in series.items() if len(points) > 1}
    if not series:
        return None
    return charts.lines(series, title="Time for one text", note="Medians.", x="tokens", y="milliseconds")


def majority_class(counts: dict[str, float], rows: int) -> tuple[str, float] | None:
    """The most frequent class and its share, which is the accuracy of always predicting it."""
    if not counts or not rows:
        return None
    name = max(counts, key=lambda label: counts[label])
    return name, counts[name] / rows
