"""A model's outputs for a text as a prediction: a class and its probability, or a number."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.evaluation.scoring import readable

Prediction = dict[str, Any] | float
"""`{"class": "positive", "probability": 0.93}`, or the predicted number."""
Outputs = npt.NDArray[np.float32]


def predictions(outputs: Outputs, names: list[str]) -> list[Prediction]:
    """The predictions for outputs (texts, outputs): classes, or without names numbers."""
    values, probs = most_probable(outputs, names)
    return [as_prediction(value, prob, names) for value, prob in zip(values, probs, strict=True)]


def most_probable(outputs: Outputs, names: list[str]) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """The classes and their probabilities, or the numbers and NaN, for outputs (texts, outputs): (texts,) each."""
    if not names:
        return outputs[:, 0], np.full(len(outputs), np.nan)
    scores = np.exp(outputs.astype(np.float64) - outputs.max(1, keepdims=True))
    return outputs.argmax(1), scores.max(1) / scores.sum(1)


def as_prediction(value: Any, probability: float, names: list[str]) -> Prediction:
    """The prediction for one class index and its probability, or for one number."""
    if not names:
        return readable(float(value))
    return {"class": names[int(value)], "probability": round(float(probability), 4)}
