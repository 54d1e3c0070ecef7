"""Models and tables of the hub as `l2a init` names them: at the commit that it saw, with configuration and split."""

from typing import Any

from pipeline.addresses.commits import commit_of
from pipeline.addresses.hub import RepoType
from pipeline.addresses.resolve import kind_of, split_revision
from pipeline.data.hub import configurations, splits
from pipeline.errors import InputError
from pipeline.setup.columns import Choose

DEFAULT = "default"
"""The configuration that `config: null` is, where there are several."""
TRAIN = "train"


def at_commit(kind: RepoType, address: str, key: str) -> str:
    """A hub address with the commit that it means now, which its branch may leave; other addresses as they are.

    Raises InputError if the hub has no such thing, or does not answer and the cache has none.
    """
    if kind_of(address) != "hub":
        return address
    hub_id, revision = split_revision(address)
    return f"{hub_id}@{commit_of(kind, hub_id, revision, key)}"


def table_section(address: str, choose: Choose) -> dict[str, Any]:
    """The keys of params.yaml that say where a table is: its path and, of a dataset, configuration and split.

    Args:
        choose: is asked for what a dataset has several of.

    Raises InputError if there is no such dataset.
    """
    if kind_of(address) != "hub":
        return {"path": address}
    try:
        section: dict[str, Any] = {"path": at_commit("dataset", address, "path")}
    except InputError as error:
        raise InputError(str(error).removeprefix("path: ")) from error
    names = configurations(*split_revision(section["path"]))
    if len(names) > 1 and DEFAULT not in names:
        section["config"] = names[choose(f"{address}: which configuration?", names)]
    parts = splits(section["path"], section.get("config"))
    if parts and TRAIN not in parts:
        section["split"] = parts[choose(f"{address}: which split?", parts)] if len(parts) > 1 else parts[0]
    return section
