"""Data sets of the Hugging Face hub, or of its cache on this machine if the hub cannot be reached."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd

from pipeline.errors import InputError
from pipeline.params import Table

PATIENCE = 10.0
"""Seconds the hub has to answer."""


def read_hub(table: Table, key: str) -> pd.DataFrame:
    """Load one split of a hub data set.

    Args:
        key: the parameter that names it, for errors: `data.source`.

    Raises InputError if there is no such data set, configuration or split, or no way to it.
    """
    import datasets

    datasets.disable_progress_bars()
    with _quiet():
        silent = _silence(table.path)
        try:
            with _cache_only(silent != ""):
                frame: pd.DataFrame = datasets.load_dataset(table.path, table.config, split=table.split).to_pandas()
                return frame
        except Exception as error:
            reason = f"{type(error).__name__}: {_one_line(error)}"
            if silent and isinstance(error, ConnectionError):
                reason = f"it cannot be reached ({silent}) and its cache here has no such data set"
    raise InputError(f"{key}.path: {table.path} is no file here, and the hub did not give it: {reason}")


def _silence(name: str) -> str:
    """Why the hub does not answer; empty if it does, whatever the answer."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().dataset_info(name, timeout=PATIENCE)
    except HfHubHTTPError:
        return ""
    except Exception as error:
        return _one_line(error) or type(error).__name__
    return ""


@contextmanager
def _cache_only(wanted: bool) -> Iterator[None]:
    """Inside, if wanted, no request is made: each would be tried six times, half a minute before the cache is asked."""
    import datasets

    config: Any = datasets.config
    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = before or wanted
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before


@contextmanager
def _quiet() -> Iterator[None]:
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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
