"""Datasets from the Hugging Face hub, or from its cache on this machine if the hub cannot be reached."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd

from pipeline.addresses.hub import connection_error, one_line, quiet_hub
from pipeline.errors import InputError
from pipeline.params.data import Table


def read_hub(table: Table, key: str) -> pd.DataFrame:
    """Load one split of a dataset on the hub.

    Args:
        key: the parameter that names it, for errors: `data.source`.

    Raises InputError if there is no such dataset, configuration or split, or it cannot be reached.
    """
    import datasets

    datasets.disable_progress_bars()
    with quiet_hub():
        unreachable = connection_error("dataset", table.path)
        try:
            with _offline(unreachable != ""):
                frame: pd.DataFrame = datasets.load_dataset(table.path, table.config, split=table.split).to_pandas()
                return frame
        except Exception as error:
            reason = f"{type(error).__name__}: {one_line(error)}"
            if unreachable and isinstance(error, ConnectionError):
                reason = f"it cannot be reached ({unreachable}) and its cache here has no such dataset"
            line = f"{key}.path: {table.path} is not a local file, and the hub did not provide it: {reason}"
            raise InputError(line) from error


@contextmanager
def _offline(offline: bool) -> Iterator[None]:
    """Inside, if `offline`, only the cache is read: each request would be retried six times, for half a minute."""
    import datasets

    config: Any = datasets.config
    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = before or offline
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before
