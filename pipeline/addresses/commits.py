"""The commit that each hub address of params.yaml means: recorded once, in hub.json, for all stages and later runs."""

import json
import re
from pathlib import Path

from pipeline.addresses.hub import RepoType, ask
from pipeline.errors import InputError

RECORD = Path("hub.json")
"""Written by the stage `commits`; its keys are those of params.yaml, so that DVC compares them stage by stage."""
COMMIT = re.compile(r"[0-9a-f]{40}")


def recorded(key: str, address: str) -> str | None:
    """The commit recorded for a parameter, such as `teacher.model`, if it had this address then; else None."""
    found, commit = read_record().get(key, ("", ""))
    return commit if found == address else None


def with_commit(key: str, address: str) -> str:
    """A parameter's address with the commit recorded for it after an `@`; without one, as it is."""
    commit = recorded(key, address)
    return address if commit is None else f"{address.partition('@')[0]}@{commit}"


def read_record() -> dict[str, tuple[str, str]]:
    """The record of this folder: address and commit by parameter, empty without one.

    Raises InputError if it is damaged.
    """
    try:
        record = json.loads(RECORD.read_text(encoding="utf-8"))
        entries = {f"{section}.{name}": entry for section, names in record.items() for name, entry in names.items()}
        # A model in a folder has no commit.
        entries = {key: entry for key, entry in entries.items() if entry and "content" not in entry}
        found = {key: (str(entry["address"]), str(entry["commit"])) for key, entry in entries.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError):
        found = None
    if found is None or not all(COMMIT.fullmatch(commit) for _, commit in found.values()):
        raise InputError(f"{RECORD}: damaged; accepted: as the stage commits writes it, or no such file")
    return found


def commit_of(kind: RepoType, hub_id: str, revision: str | None, key: str) -> str:
    """The commit that a branch or tag is at: on the hub or, if it does not answer, in its cache on this machine.

    Args:
        revision: if None, the branch `main`.
        key: the parameter that names it, for errors.

    Raises InputError if the hub has no such thing, or does not answer and the cache has none.
    """
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    answer = ask(kind, hub_id, revision)
    commit = answer.commit or cached_commit(kind, hub_id, revision)
    if commit is None and answer.busy:
        answer = ask(kind, hub_id, revision, patient=True)
        commit = answer.commit
    if commit is not None:
        return commit
    address = hub_id if revision is None else f"{hub_id}@{revision}"
    if answer.refusal:
        raise InputError(f"{key}: {address} {answer.refusal}")
    local = {"model": "folder", "dataset": "file"}[kind]
    raise InputError(f"{key}: {address} is not a local {local}, {answer.outage} and its cache has no such {kind}")


def cached_commit(kind: RepoType, hub_id: str, revision: str | None) -> str | None:
    """The commit that a branch or tag was at when the hub was last asked for its files from this machine.

    What was fetched by its commit leaves no trace of a branch: of `main` the only commit in the cache will do.
    """
    cache = _cache(kind, hub_id)
    try:
        commit = (cache / "refs" / (revision or "main")).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        commits = [folder.name for folder in (cache / "snapshots").glob("*")]
        commit = commits[0] if revision in (None, "main") and len(commits) == 1 else ""
    return commit if COMMIT.fullmatch(commit) else None


def snapshot_folder(kind: RepoType, hub_id: str, commit: str) -> Path:
    """Where the files of a commit are in the hub's cache on this machine, if it has some."""
    return _cache(kind, hub_id) / "snapshots" / commit


def _cache(kind: RepoType, hub_id: str) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=hub_id, repo_type=kind))
