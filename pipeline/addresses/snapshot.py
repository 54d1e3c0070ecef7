"""The folder of a model of the Hugging Face hub: the files of one commit in the hub's cache on this machine."""

import logging
import sys
from collections.abc import Collection
from contextlib import suppress
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

from pipeline.addresses.commits import COMMIT, cached_commit
from pipeline.addresses.hub import Answer, ask, explain, hub_requests
from pipeline.errors import InputError
from pipeline.storage.atomic import is_main_process

DESCRIPTION = ("*.json", "*.txt", "*.model")
"""The config, the tokenizer, and which weights are in which file. A list of checksums may name files left out here."""
WEIGHTS = ("model.safetensors", "model-*.safetensors")
"""Weights, in one file or several."""
ADAPTER = "adapter_config.json"
"""Marks a folder that peft has written."""
INDEX = "model.safetensors.index.json"

logger = logging.getLogger(__name__)


def model_snapshot(hub_id: str, revision: str | None, key: str, *, weights: bool) -> Path:
    """Fetch the config and tokenizer of a model and, if asked for, its weights; in a process all are of one commit.

    The cache alone is read if it has a model that is named by its commit, or if the hub does not give the model.

    Args:
        revision: a branch, tag or commit; if None, the branch `main`.
        key: the parameter that names the model, for errors.

    Returns the folder. Raises InputError if the model cannot be had, or has no config or no safetensors weights; a
    file that did not arrive whole is not kept.
    """
    from huggingface_hub.errors import LocalEntryNotFoundError

    address = hub_id if revision is None else f"{hub_id}@{revision}"
    if revision is not None and COMMIT.fullmatch(revision) and _is_listed(hub_id, revision):
        with suppress(LocalEntryNotFoundError):
            return _fetch(hub_id, revision, weights=weights, offline=True)
    answer = ask("model", hub_id, revision)
    if not answer.found:
        try:
            folder = _fetch(hub_id, cached_commit("model", hub_id, revision) or revision, weights=weights, offline=True)
        except LocalEntryNotFoundError as error:
            answer = ask("model", hub_id, revision, patient=True) if answer.busy else answer
            if not answer.found:
                line = answer.refusal or _absent(answer, hub_id, revision)
                raise InputError(f"{key}: {address} {line}") from error
        else:
            logger.info("%s: %s is commit %s, from the cache", key, address, folder.name)
            return folder
    check_files(answer.files, key, address)
    try:
        folder = _fetch(hub_id, revision, weights=weights, offline=False)
    except InputError:
        raise
    except Exception as error:
        now = explain(error, "model", hub_id)
        line = now.refusal or f"was not fetched, because {now.outage}; run it again"
        raise InputError(f"{key}: {address} {line}") from error
    logger.info("%s: %s is commit %s", key, address, folder.name)
    return folder


def _is_listed(hub_id: str, commit: str) -> bool:
    """Whether the cache has the list of a commit's files, without which any of them may be missing unnoticed.

    What fetches files one by one, as other programs do, leaves no list.
    """
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        get_cached_repo_tree(hub_id, revision=commit)
    except CachedRepoTreeNotFoundError:
        return False
    return True


def _absent(answer: Answer, hub_id: str, revision: str | None) -> str:
    """What a model lacks that the hub does not give now."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    has = "has no such model"
    with suppress(LocalEntryNotFoundError):
        _fetch(hub_id, revision, weights=False, offline=True)
        has = "has it without its weights"
    return f"is not a local folder, {answer.outage} and its cache {has}"


@lru_cache
def _fetch(hub_id: str, revision: str | None, *, weights: bool, offline: bool) -> Path:
    """Fetch files of a model. Raises LocalEntryNotFoundError if `offline` and some of them are not in the cache."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

    if weights:
        revision = _fetch(hub_id, revision, weights=False, offline=offline).name
    if constants.HF_HUB_DISABLE_PROGRESS_BARS is None:
        shown = weights and sys.stderr.isatty() and is_main_process() and logger.isEnabledFor(logging.WARNING)
        (enable_progress_bars if shown else disable_progress_bars)()
    with hub_requests():
        folder = Path(
            snapshot_download(
                hub_id,
                revision=revision,
                allow_patterns=[*DESCRIPTION, *(WEIGHTS if weights else ())],
                ignore_patterns=["*/*"],
                local_files_only=offline,
            )
        )
    # Other programs may have put some of the files there.
    if not (folder / "config.json").is_file() or (weights and not list(folder.glob("*.safetensors"))):
        raise LocalEntryNotFoundError(f"{folder} has not all files")
    return folder


def check_files(names: Collection[str], key: str, address: str | Path) -> None:
    """Raise InputError if a model's folder holds an adapter, or is without a config or safetensors weights."""
    if ADAPTER in names:
        # transformers would take the weights of the model that it names, wherever that is, in place of this folder's.
        raise InputError(
            f"{key}: {address} holds an adapter of peft ({ADAPTER}); accepted: a whole model, which save_pretrained "
            "writes after merge_and_unload()"
        )
    if "config.json" not in names:
        raise InputError(f"{key}: {address} has no config.json; accepted: a folder written by save_pretrained")
    # Others, such as model.fp16.safetensors or an adapter's, are not read. In a folder an index gives shards any name.
    if not any(fnmatch(name, pattern) for name in names for pattern in (*WEIGHTS, INDEX) if "/" not in name):
        raise InputError(f"{key}: {address} has no model.safetensors or shards of it; accepted: safetensors only")
