"""Metrics of predictions, their bootstrap confidence intervals, and the loss."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

# The service that answers without torch imports this module, and can do without that of the params.
if TYPE_CHECKING:
    from pipeline.params.types import ScoreName

Numbers = dict[str, float]

IN_UNIT = ("mae", "rmse", "mean")
"""The metrics in the labels' unit."""


def metric_names(names: Sequence[str]) -> tuple[str, ...]:
    """The metrics of classification, or of regression if there are no class names."""
    return ("accuracy", "f1", "mcc") if names else ("r2", "pearson", "spearman", "mae", "rmse")


def headline(score: "ScoreName", labels: np.ndarray, names: list[str]) -> str:
    """The metric that selects the best model: `accuracy`, `f1` or `mcc` of classes, `r2` of numbers.

    R² falls as the squared error rises, and 0 is always predicting the mean. Correlations see no offset.

    Args:
        score: `auto` is accuracy, but mcc if more than two thirds of the texts have one label: always predicting that
            one has an accuracy of more than two thirds, and an MCC of 0.
        labels: of the validation texts, (texts,).
    """
    if not names:
        return "r2"
    if score != "auto":
        return score
    return "mcc" if 3 * np.bincount(labels).max(initial=0) > 2 * len(labels) else "accuracy"


def decide(outputs: np.ndarray, names: list[str]) -> np.ndarray:
    """Turn outputs (texts, outputs) into predictions (texts,): class indices, or numbers if there are no names."""
    return outputs.argmax(1) if names else outputs[:, 0]


def loss(labels: np.ndarray, outputs: np.ndarray, names: list[str]) -> float:
    """Mean cross-entropy in nats of logits (texts, classes); without names mean squared error of (texts, 1)."""
    outputs = outputs.astype(np.float64)
    if not names:
        return float(np.mean((outputs[:, 0] - labels) ** 2))
    # A training that diverges is said by whoever reads the loss, without a warning of NumPy's.
    with np.errstate(invalid="ignore"):
        return float(np.mean(np.logaddexp.reduce(outputs, axis=1) - outputs[np.arange(len(labels)), labels]))


def scores(labels: np.ndarray, predicted: np.ndarray, names: list[str]) -> Numbers:
    """Metrics of predictions (texts,): accuracy, F1, MCC of classes; R², correlations and errors of numbers.

    F1 of two classes is that of the last one; of more, the mean over the classes that occur. MCC is Matthews'
    correlation coefficient, of several classes Gorodkin's R_K (Comput. Biol. Chem. 28, 2004), and 0 if all labels or
    all predictions are one class. Of numbers, R² (1 − squared error / variance of the labels), Pearson's and Spearman's
    correlation, and the mean absolute and root mean squared error in the labels' unit. A correlation with a constant,
    and R² of equal labels, is undefined: NaN.
    """
    if names:
        # Plain NumPy, because the validation texts are scored after every step.
        values = _class_metrics(labels, predicted, len(names), np.ones((1, len(labels))))
        return {name: float(value[0]) for name, value in values.items()}
    labels, predicted = labels.astype(np.float64), predicted.astype(np.float64)
    r2 = pearson = spearman = float("nan")
    squared, variance = np.mean((predicted - labels) ** 2), labels.var()
    if np.ptp(labels) > 0:
        # Imported here, because that takes half a second, which classification can do without.
        from scipy import stats

        r2 = float(1 - squared / variance)
        if np.ptp(predicted) > 0:
            pearson = float(stats.pearsonr(labels, predicted).statistic)
            spearman = float(stats.spearmanr(labels, predicted).statistic)
    mae, rmse = float(np.mean(np.abs(predicted - labels))), float(np.sqrt(squared))
    return {"r2": r2, "pearson": pearson, "spearman": spearman, "mae": mae, "rmse": rmse}


def rounded(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """Round to 4 decimals for a JSON file, or as `readable` does in the labels' unit; NaN, which it lacks, is None."""

    def short(name: str, value: float) -> float:
        return readable(value) if name.startswith(IN_UNIT) else round(value, 4)

    return {name: short(name, value) if math.isfinite(value) else None for name, value in numbers.items()}


def readable(number: float) -> float:
    """A number in the labels' unit with 4 decimals or, if it is small, with 4 digits: the unit may be of any size."""
    if not number or not math.isfinite(number):
        return number
    return round(number, max(4, 3 - math.floor(math.log10(abs(number)))))


def intervals(labels: np.ndarray, predicted: np.ndarray, names: list[str], resamples: int, seed: int) -> Numbers:
    """The 95 % percentile bootstrap interval of each metric of `scores`: `accuracy_low`, `accuracy_high`, ...

    Rows are drawn with replacement. One seed draws the same rows for every model, so that models can be compared.
    Resamples in which a metric is undefined are left out; if all are, its bounds are NaN.
    """
    resampled_metrics = _class_metrics if names else _number_metrics
    rng = np.random.default_rng(seed)
    # Resamples at a time: their table of weights takes a few tens of megabytes.
    block = max(1, 2**22 // len(labels))
    blocks = []
    for start in range(0, resamples, block):
        weights = _resample_weights(len(labels), min(block, resamples - start), rng)
        blocks.append(resampled_metrics(labels, predicted, len(names), weights))
    bounds: Numbers = {}
    for metric in blocks[0]:
        values = np.concatenate([values[metric] for values in blocks])
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (np.nan, np.nan)
        bounds |= {f"{metric}_low": float(low), f"{metric}_high": float(high)}
    return bounds


def _resample_weights(rows: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each resample draws each row: (resamples, rows); each resample's counts sum to `rows`."""
    drawn = rng.integers(rows, size=(resamples, rows)) + rows * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * rows).reshape(resamples, rows).astype(np.float64)


def _class_metrics(
    labels: np.ndarray, predicted: np.ndarray, classes: int, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """`scores` of classes for each row of weights (resamples, rows): (resamples,)."""
    one_hot = np.eye(classes)
    # Of each class, its true positives, its labels and its predictions: no metric needs more of the confusion matrix.
    correct = weights @ (one_hot[labels] * (labels == predicted)[:, None])
    actual, guessed = weights @ one_hot[labels], weights @ one_hot[predicted]
    occurring = actual + guessed
    f1 = 2 * correct / np.maximum(occurring, 1)
    mean_f1 = f1[:, -1] if classes == 2 else f1.sum(1) / (occurring > 0).sum(1)
    right, total = correct.sum(1), weights.sum(1)
    covariance = right * total - (actual * guessed).sum(1)
    spread = np.sqrt((total**2 - (actual**2).sum(1)) * (total**2 - (guessed**2).sum(1)))
    mcc = np.where(spread > 0, covariance / np.maximum(spread, 1), 0.0)
    return {"accuracy": right / total, "f1": mean_f1, "mcc": mcc}


def _number_metrics(labels: np.ndarray, predicted: np.ndarray, _: int, weights: np.ndarray) -> dict[str, np.ndarray]:
    """`scores` of numbers for each row of weights (resamples, rows): (resamples,)."""
    labels, predicted = labels.astype(np.float64), predicted.astype(np.float64)
    shape = (len(weights), len(labels))
    total, errors = weights.sum(1), predicted - labels
    squared = weights @ errors**2 / total
    # Centred first, or the square of a mean of thousands would leave few digits of a small variance.
    centred = labels - labels.mean()
    variance = weights @ centred**2 / total - (weights @ centred / total) ** 2
    return {
        "r2": 1 - squared / np.where(variance > 1e-12 * labels.var(), variance, np.nan),
        "pearson": _correlation(np.broadcast_to(labels, shape), np.broadcast_to(predicted, shape), weights),
        "spearman": _correlation(_ranks(labels, weights), _ranks(predicted, weights), weights),
        "mae": weights @ np.abs(errors) / total,
        "rmse": np.sqrt(squared),
    }


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Each value's rank within each resample, equal values having their mean rank: (resamples, rows)."""
    distinct, inverse = np.unique(values, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.searchsorted(inverse[order], np.arange(len(distinct)))
    count = np.add.reduceat(weights[:, order], starts, axis=1)
    return (np.cumsum(count, axis=1) - count / 2)[:, inverse]


def _correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation of the weighted rows of each resample, NaN if one side is constant: (resamples,)."""
    # Whatever their unit, what rounding leaves of a constant is small beside 1.
    x, y = ((side - side.mean()) / (np.ptp(side) or 1) for side in (x, y))
    total = weights.sum(1, keepdims=True)
    x = x - (weights * x).sum(1, keepdims=True) / total
    y = y - (weights * y).sum(1, keepdims=True) / total
    spread = np.sqrt((weights * x * x).sum(1) * (weights * y * y).sum(1))
    covariance = (weights * x * y).sum(1)
    defined = np.where(spread > 1e-12, spread, np.nan)
    correlation: np.ndarray = covariance / defined
    return correlation
