"""Logistic regression on fixed features, with the strength of its penalty chosen on the validation texts."""

import io
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

STRENGTHS = (0.1, 1.0, 10.0, 100.0)
"""Values of C, the inverse of the penalty's weight."""


def fit(features: Any, labels: list[str], validation: Any, validation_labels: list[str]) -> LogisticRegression:
    """The head with the highest accuracy on the validation texts; of equal ones, that with the strongest penalty.

    Args:
        features, validation: (texts, features), dense or sparse.
    """
    heads = [LogisticRegression(C=strength, max_iter=1000).fit(features, labels) for strength in STRENGTHS]
    return max(heads, key=lambda head: head.score(validation, validation_labels))


def weights(head: LogisticRegression) -> int:
    """The number of a head's weights."""
    return int(head.coef_.size + head.intercept_.size)


def saved_size(head: LogisticRegression) -> int:
    """Bytes of a file of the head's weights, in float32."""
    file = io.BytesIO()
    np.savez(file, coef=head.coef_.astype(np.float32), intercept=head.intercept_.astype(np.float32))
    return len(file.getvalue())
