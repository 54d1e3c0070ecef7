"""Datasets from the Hugging Face hub, or from its cache on this machine if the hub does not give them."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from pipeline.addresses.blobs import check_blobs
from pipeline.addresses.commits import COMMIT, cached_commit, recorded, snapshot_folder
from pipeline.addresses.hub import Answer, ask, explain, hub_requests
from pipeline.addresses.resolve import split_revision
from pipeline.data.quoting import listed, shown
from pipeline.data.reading import with_class_names
from pipeline.errors import InputError, nearest, one_line
from pipeline.params.data import Table
from pipeline.storage.atomic import publish_file

logger = logging.getLogger(__name__)


def read_hub(table: Table, key: str) -> pd.DataFrame:
    """Load one split of a dataset on the hub, at the commit recorded for `key` if there is one.

    The cache alone is read if it has the configuration of a dataset that is named by its commit.

    Args:
        key: the parameter that names it, for errors: `data.source`.

    Raises InputError if there is no such dataset, revision, configuration or split, or it cannot be fetched.
    """
    hub_id, named = split_revision(table.path)
    revision = recorded(key, table.path) or named
    damaged = False
    made = _made(revision, hub_id, table.config)
    if made is not None and made.is_file():
        try:
            return _rows(table, key, revision, made.read_text(encoding="utf-8"), offline=True)[0]
        except (InputError, MemoryError):
            raise
        except Exception as error:
            logger.info("%s: tables made of %s cannot be read (%s); made again", key, table.path, one_line(error))
            damaged = True
    answer = ask("dataset", hub_id, revision)
    if answer.busy:
        # Where the cache does, a busy hub is not waited for.
        if (frame := _cached(table, key, revision)) is not None:
            return frame
        answer = ask("dataset", hub_id, revision, patient=True)
    if commit := answer.commit or cached_commit("dataset", hub_id, revision):
        check_blobs(snapshot_folder("dataset", hub_id, commit), f"{key}.path", table.path, ["**/*"])
    if damaged and answer.found:
        shutil.rmtree(_folder(revision))
    # What was loaded before its commit was recorded.
    if not answer.found and revision != named and (frame := _cached(table, key, named)) is not None:
        return frame
    try:
        frame, config = _rows(table, key, revision, table.config, offline=not answer.found)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{key}.path: {table.path} {_reason(error, answer, hub_id)}") from error
    if made is not None and answer.found:
        with publish_file(made) as temporary:
            temporary.write_text(config, encoding="utf-8")
    return frame


def _cached(table: Table, key: str, revision: str | None) -> pd.DataFrame | None:
    """The rows from the cache alone; None if it does not have them. Raises InputError if it has no such split."""
    try:
        return _rows(table, key, revision, table.config, offline=True)[0]
    except (InputError, MemoryError):
        raise
    except Exception:
        return None


def _rows(
    table: Table, key: str, revision: str | None, config: str | None, *, offline: bool
) -> tuple[pd.DataFrame, str]:
    """The rows of a split, and the configuration that they are of. Raises whatever the library does."""
    _library().disable_progress_bars()
    with hub_requests(), _offline(offline):
        builder = _builder(config, f"{key}.config", split_revision(table.path)[0], revision)
        builder.download_and_prepare()
        try:
            rows = builder.as_dataset(split=table.split)
        except ValueError as error:
            raise InputError(_unknown(f"{key}.split", table.split, list(builder.info.splits))) from error
    frame: pd.DataFrame = rows.to_pandas()
    return with_class_names(frame, rows.features.to_dict()), str(builder.config.name)


def _library() -> Any:
    """The library datasets, told to ask nobody but the hub: neither a host that counts loads nor the dataset viewer."""
    import datasets

    config: Any = datasets.config
    config.HF_UPDATE_DOWNLOAD_COUNTS = config.USE_PARQUET_EXPORT = False
    return datasets


def _folder(revision: str | None) -> Path:
    """Where tables made of a revision are: without the hub, the library takes any of a dataset that it finds there."""
    import datasets

    cache = Path(datasets.config.HF_DATASETS_CACHE)
    return cache if revision is None else cache / f"revisions/{quote(revision, safe='')}"


def _made(revision: str | None, hub_id: str, config: str | None) -> Path | None:
    """The file that holds the name of a configuration whose tables of a commit were made; None if it is no commit."""
    if revision is None or not COMMIT.fullmatch(revision):
        return None
    return _folder(revision) / f"made/{quote(hub_id, safe='')}/{quote(config or '', safe='')}.txt"


def _builder(config: str | None, key: str, hub_id: str, revision: str | None) -> Any:
    """What makes the tables of a configuration. Raises InputError, naming `key`, if there is no such configuration."""
    datasets = _library()
    try:
        return datasets.load_dataset_builder(hub_id, config, revision=revision, cache_dir=str(_folder(revision)))
    except ValueError as error:
        names = [] if datasets.config.HF_HUB_OFFLINE else configurations(hub_id, revision)
        if len(names) > 1 if config is None else names and config not in names:
            raise InputError(_unknown(key, config, names)) from error
        raise


def configurations(hub_id: str, revision: str | None) -> list[str]:
    """The configurations of a dataset, as far as they can be listed."""
    try:
        with hub_requests():
            names: list[str] = _library().get_dataset_config_names(hub_id, revision=revision)
    except Exception:
        return []
    return names


def splits(address: str, config: str | None) -> list[str]:
    """The splits of a configuration, as far as they can be listed without its tables."""
    try:
        with hub_requests():
            hub_id, revision = split_revision(address)
            builder = _builder(config, "config", hub_id, revision)
        return list(map(str, builder.config.data_files or []))
    except Exception:
        return []


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
