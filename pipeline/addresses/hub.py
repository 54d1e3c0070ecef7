"""Whether the Hugging Face hub answers, asked once: each request that goes unanswered would be tried six times."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Literal

PATIENCE = 10.0
"""Seconds the hub has to answer."""


@lru_cache
def silence(kind: Literal["model", "dataset"], name: str) -> str:
    """Why the hub does not answer a question about `name`; empty if it does, whatever the answer."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    ask = HfApi().model_info if kind == "model" else HfApi().dataset_info
    with quiet_hub():
        try:
            ask(name, timeout=PATIENCE)
        except HfHubHTTPError:
            return ""
        except Exception as error:
            return one_line(error) or type(error).__name__
    return ""


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Keep the libraries' warnings back: what matters of them comes as an error."""
    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "datasets")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def one_line(error: Exception) -> str:
    """An error's message, at most 160 characters of it."""
    return " ".join(str(error).split())[:160]
