"""The scores, and how large and how fast the models are: tables, a chart, and the few numbers that come first."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.report import charts
from pipeline.report.inputs import MODELS, SERVED, Measured, Serving

METRICS = {"accuracy": "accuracy", "f1": "F1", "pearson": "Pearson's r", "spearman": "Spearman's ρ"}


@dataclass(frozen=True)
class Card:
    """A number with what it is."""

    value: str
    of: str
    more: str


def number(value: float | None, decimals: int = 3, *, sign: bool = False) -> str:
    """A number with so many decimals, or that it is undefined."""
    if value is None:
        return "undefined"
    # Not −0.000.
    value = round(value, decimals) + 0.0
    return f"{value:{'+' if sign else ''},.{decimals}f}".replace("-", charts.MINUS)


def chart(measured: Measured, metric: str) -> Markup | None:
    """The models' scores with their intervals; None if they are undefined."""
    rows = []
    for name, said in MODELS.items():
        bounds = [measured[name][key] for key in (metric, f"{metric}_low", f"{metric}_high")]
        found = [bound for bound in bounds if bound is not None]
        if len(found) == 3:
            rows.append((said, found[0], found[1], found[2]))
    if not rows:
        return None
    title = f"{METRICS[metric].capitalize() if metric == 'accuracy' else METRICS[metric]} on the test set"
    return charts.ranges(rows, title=title, note="The lines are 95 % intervals.", x=METRICS[metric])


def cards(measured: Measured, serving: Serving | None, metric: str) -> list[Card]:
    """What a reader in a hurry is told."""
    scores = {name: measured[name][metric] for name in MODELS}
    ours, theirs, plain = scores["student"], scores["teacher"], scores["student_ft"]
    low, high = (number(measured["student"][f"{metric}_{end}"]) for end in ("low", "high"))
    found = [Card(number(ours), f"{METRICS[metric]} of the student", f"95 % interval {low} to {high}")]
    for other, said in ((theirs, "against the teacher"), (plain, "against Student-FT")):
        if ours is not None and other is not None:
            found.append(
                Card(
                    number(round(ours - other, 4), sign=True), said, f"{said.split(maxsplit=1)[1]} has {number(other)}"
                )
            )
    return [*found, *(_as_served(serving) if serving else _as_measured(measured))]


def _as_measured(measured: Measured) -> list[Card]:
    (size, large), (speed, slow) = (
        [measured[name][key] or 0.0 for name in ("student", "teacher")] for key in ("bytes", "sentences_per_second")
    )
    out = [Card(_times(size, large), "the teacher's size", f"{size / 1e6:,.1f} MB, not {large / 1e6:,.1f}")]
    return [*out, Card(_times(speed, slow), "the teacher's speed", f"{speed:,.0f} texts a second, not {slow:,.0f}")]


def _as_served(serving: Serving) -> list[Card]:
    """Of the last of SERVED that is there, which is what one would serve."""
    models = serving.models()
    name = list(models)[-1] if models else "teacher"
    if name == "teacher" or "teacher" not in models:
        return []
    ours, theirs = models[name], models["teacher"]
    small, large = ours.bytes / 1e6, theirs.bytes / 1e6
    which = f" as {SERVED[name]}" if name != "student" else ""
    out = [Card(_times(small, large), "the teacher's size", f"{small:,.1f} MB{which}, not {large:,.1f}")]
    both = sorted(ours.latencies().keys() & theirs.latencies().keys(), key=lambda tokens: (tokens != 64, tokens))
    if both:
        fast, slow = (model.latencies()[both[0]].median_ms for model in (ours, theirs))
        more = f"{fast:,.1f} ms{which} for a text of {both[0]} tokens, not {slow:,.1f}"
        out.append(Card(_times(slow, fast), "the teacher's speed", more))
    return out


def _times(one: float, other: float) -> str:
    return f"{one / other:.2f}×" if other else "undefined"


def latency_chart(serving: Serving) -> Markup | None:
    """Milliseconds for one text, by its tokens; None if no model was timed at two lengths."""
    series = {
        SERVED[name]: [(float(tokens), found.median_ms) for tokens, found in model.latencies().items()]
        for name, model in serving.models().items()
    }
    series = {name: points for name, points in series.items() if len(points) > 1}
    if not series:
        return None
    return charts.lines(series, title="Time for one text", note="Medians.", x="tokens", y="milliseconds")


def commonest(counts: dict[str, float], rows: int) -> tuple[str, float] | None:
    """The class that most rows have, with its share: what always answering it would be right in."""
    if not counts or not rows:
        return None
    name = max(counts, key=lambda label: counts[label])
    return name, counts[name] / rows


def metrics_of(names: Sequence[str]) -> tuple[str, str]:
    """The metrics of classes, or of numbers, the one that counts first."""
    return ("accuracy", "f1") if names else ("pearson", "spearman")
