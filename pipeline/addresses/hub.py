"""Whether the Hugging Face hub can be reached, asked once a name: the libraries would retry each request six times."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Literal

TIMEOUT = 10.0
"""Seconds to wait for the hub's answer."""


@lru_cache
def connection_error(kind: Literal["model", "dataset"], name: str) -> str:
    """Why the hub cannot be reached with a request for `name`; empty if it answers, even if it has no such name."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    request = HfApi().model_info if kind == "model" else HfApi().dataset_info
    with quiet_hub():
        try:
            request(name, timeout=TIMEOUT)
        except HfHubHTTPError:
            return ""
        except Exception as error:
            return one_line(error) or type(error).__name__
    return ""


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Silence the warnings of huggingface_hub and datasets; errors still come through."""
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
    """The first 160 characters of an error's message, on one line."""
    return " ".join(str(error).split())[:160]
