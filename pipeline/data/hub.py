"""Datasets from the Hugging Face hub, or from its cache on this machine if the hub does not give them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from pipeline.addresses.hub import Answer, ask, explain, hub_requests, one_line
from pipeline.addresses.resolve import split_revision
from pipeline.data.quoting import listed, shown
from pipeline.data.reading import with_class_names
from pipeline.errors import InputError, nearest
from pipeline.params.data import Table


def read_hub(table: Table, key: str) -> pd.DataFrame:
    """Load one split of a dataset on the hub.

    Args:
        key: the parameter that names it, for errors: `data.source`.

    Raises InputError if there is no such dataset, revision, configuration or split, or it cannot be fetched.
    """
    import datasets

    datasets.disable_progress_bars()
    hub_id, revision = split_revision(table.path)
    answer = ask("dataset", hub_id, revision)
    with hub_requests(), _offline(not answer.found):
        try:
            builder = _builder(table, f"{key}.config", hub_id, revision)
            builder.download_and_prepare()
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"{key}.path: {table.path} {_reason(error, answer, hub_id)}") from error
        try:
            rows = builder.as_dataset(split=table.split)
        except ValueError as error:
            raise InputError(_unknown(f"{key}.split", table.split, list(builder.info.splits))) from error
    frame: pd.DataFrame = rows.to_pandas()
    return with_class_names(frame, rows.features.to_dict())


def _builder(table: Table, key: str, hub_id: str, revision: str | None) -> Any:
    """What makes the tables of a configuration. Raises InputError, naming `key`, if there is no such configuration."""
    import datasets

    # Without the hub, the library takes any revision of a dataset that it finds in this folder.
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    if revision is not None:
        cache /= f"revisions/{quote(revision, safe='')}"
    try:
        return datasets.load_dataset_builder(hub_id, table.config, revision=revision, cache_dir=str(cache))
    except ValueError as error:
        names = [] if datasets.config.HF_HUB_OFFLINE else _configurations(hub_id, revision)
        if len(names) > 1 if table.config is None else names and table.config not in names:
            raise InputError(_unknown(key, table.config, names)) from error
        raise


def _configurations(hub_id: str, revision: str | None) -> list[str]:
    """The configurations of a dataset, as far as they can be listed."""
    import datasets

    try:
        names: list[str] = datasets.get_dataset_config_names(hub_id, revision=revision)
    except Exception:
        return []
    return names


def _unknown(key: str, name: str | None, names: list[str]) -> str:
    found = "null" if name is None else shown(name)
    return f"{key}: got {found}; accepted: {listed(names)}{nearest(name or '', names)}"


def _reason(error: Exception, answer: Answer, hub_id: str) -> str:
    """Why a dataset could not be loaded, by what the hub said of it before or else by the library's error."""
    if answer.found:
        answer = explain(error, "dataset", hub_id)
        return answer.refusal or f"was not fetched, because {answer.outage}; run it again"
    if not isinstance(error, ConnectionError):
        return f"cannot be read from the cache ({one_line(error)}); {answer.outage or f'it {answer.refusal}'}"
    return answer.refusal or f"is not a local file, {answer.outage} and its cache has no such dataset"


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
