"""Data sets of the Hugging Face hub, or of its cache on this machine if the hub cannot be reached."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd

from pipeline.addresses.hub import one_line, quiet_hub, silence
from pipeline.errors import InputError
from pipeline.params.data import Table


def read_hub(table: Table, key: str) -> pd.DataFrame:
    """Load one split of a hub data set.

    Args:
        key: the parameter that names it, for errors: `data.source`.

    Raises InputError if there is no such data set, configuration or split, or no way to it.
    """
    import datasets

    datasets.disable_progress_bars()
    with quiet_hub():
        silent = silence("dataset", table.path)
        try:
            with _cache_only(silent != ""):
                frame: pd.DataFrame = datasets.load_dataset(table.path, table.config, split=table.split).to_pandas()
                return frame
        except Exception as error:
            reason = f"{type(error).__name__}: {one_line(error)}"
            if silent and isinstance(error, ConnectionError):
                reason = f"it cannot be reached ({silent}) and its cache here has no such data set"
    raise InputError(f"{key}.path: {table.path} is no file here, and the hub did not give it: {reason}")


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
