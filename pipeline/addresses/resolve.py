"""The kind of an address in params.yaml (package, local path, glob or hub id), and the folder of a model's address."""

import os
import re
from pathlib import Path
from shlex import quote
from typing import Literal

from pipeline.addresses.archives import is_archive, open_archive
from pipeline.addresses.blobs import check_blobs
from pipeline.addresses.commits import recorded
from pipeline.addresses.packages import package_path
from pipeline.addresses.snapshot import DESCRIPTION, WEIGHTS, check_files, model_snapshot
from pipeline.errors import InputError
from pipeline.storage.checksums import check_sums

Kind = Literal["package", "local", "glob", "hub"]
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
HUB_ID = re.compile(r"(\b[\w.-]+\b/)?\b[\w.-]{1,96}\b")
"""`name` or `organisation/name`, as the hub accepts them."""
REVISION = re.compile(r"\w[\w.+-]*(/\w[\w.+-]*)*")
"""A branch, tag or commit, such as `main`, `v1.0` or `refs/pr/3`."""


def kind_of(address: str) -> Kind | None:
    """What the address of a model or table is, by the first rule that holds.

    1. `package`: it begins with `package:`.
    2. `local`: a file or folder of that name exists, `~` expanded.
    3. `glob`: it has one of the characters `*?[`.
    4. `local`: it begins with `.`, `/` or `~`, has two slashes or more before any `@`, or ends in one of
       `TABLE_SUFFIXES`.
    5. `hub`: it is a valid hub id, `name` or `organisation/name`, alone or followed by `@revision`.

    Returns None if no rule holds, or it is a URL. Neither the hub nor the package is asked whether it has the
    model or table.
    """
    if address.startswith("package:"):
        return "package"
    if "://" in address:
        return None
    if Path(expand_home(address)).exists():
        return "local"
    if any(character in address for character in "*?["):
        return "glob"
    hub_id, revision = split_revision(address)
    if address.startswith((".", "/", "~")) or hub_id.count("/") > 1 or address.lower().endswith(TABLE_SUFFIXES):
        return "local"
    if revision is not None and (not REVISION.fullmatch(revision) or ".." in revision):
        return None
    if HUB_ID.fullmatch(hub_id) and "--" not in hub_id and ".." not in hub_id:
        return "hub"
    return None


def split_revision(address: str) -> tuple[str, str | None]:
    """The id and the revision of a hub address `id@revision`; the revision is None if there is none."""
    hub_id, at, revision = address.partition("@")
    return hub_id, revision if at else None


def expand_home(address: str) -> str:
    """Replace a leading `~` by the home folder; unlike Path.expanduser, leave the name of an unknown user as it is."""
    return os.path.expanduser(address)  # noqa: PTH111


def not_copied(address: str | Path) -> str:
    """In an experiment that DVC runs in a folder of its own: how a file that nothing tracks gets there. Else empty."""
    inside = "/.dvc/tmp/exps/" in Path.cwd().as_posix()
    if not inside or Path(expand_home(str(address))).is_absolute():
        return ""
    return (
        f"; a queued experiment has what git and DVC track, and more by: dvc exp run --copy-paths {quote(str(address))}"
    )


def resolve_model(address: str | Path, key: str, *, weights: bool = False) -> str:
    """Turn a model's address into the folder that `from_pretrained` takes, with its small files checked.

    A Path is a folder, whatever its name; a string may be any address that params.yaml accepts. A model of the hub
    becomes its folder in the hub's cache on this machine, at the commit recorded for `key` if there is one. A model in
    the parts of an archive becomes its folder in the user's cache, assembled the first time.

    Args:
        weights: whether the weights of a model of the hub are fetched, too.

    Raises InputError if there is no such model, it has no config or no safetensors weights, or the SHA-256 of one of
    its files other than the weights does not match; of a model of the hub, also if that of its weights does not.
    """
    kind = "local" if isinstance(address, Path) else kind_of(address)
    if kind is None:
        raise InputError(f"{key}: {address} is not a valid address; accepted: a folder, package: address or hub id")
    if kind == "hub":
        hub_id, revision = split_revision(str(address))
        snapshot = model_snapshot(hub_id, recorded(key, str(address)) or revision, key, weights=weights)
        check_blobs(snapshot, key, str(address), (*DESCRIPTION, *WEIGHTS))
        return str(snapshot)
    if kind == "package":
        folder = open_archive(str(address), key) if is_archive(str(address)) else package_path(str(address), key)
    else:
        folder = address if isinstance(address, Path) else Path(expand_home(address))
    if not folder.is_dir():
        raise InputError(f"{key}: no such model folder: {address}{not_copied(address)}")
    check_sums(folder, key, weights=False)
    check_files([path.name for path in folder.iterdir()], key, address)
    return str(folder.absolute())
