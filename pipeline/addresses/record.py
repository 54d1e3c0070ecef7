"""The stage `commits`: which commit of the hub each address of params.yaml means, from its first run on."""

import logging
from pathlib import Path

from pipeline.addresses.commits import commit_of, read_record
from pipeline.addresses.hub import RepoType
from pipeline.addresses.resolve import expand_home, kind_of, split_revision
from pipeline.params.schema import Params
from pipeline.storage.fingerprint import folder_hash
from pipeline.storage.json_file import write_json

logger = logging.getLogger(__name__)


def addresses(params: Params) -> dict[str, tuple[RepoType, str | None]]:
    """The addresses of models and tables by parameter; a table's parameter is its section: `data.target`."""
    teacher, generator, student, data = params.teacher, params.generator, params.student, params.data
    tables = {
        "data.target": data.target,
        "data.source": data.source,
        "data.unlabelled": data.unlabelled,
        # With an adapter that is there already, no text is read.
        "generator.text": generator.text if generator.steps else None,
        "generator.heldout": generator.heldout,
    }
    return {
        "teacher.model": ("model", teacher.model),
        "generator.model": ("model", generator.model),
        "student.model": ("model", student.model),
        **{key: ("dataset", None if table is None else table.path) for key, table in tables.items()},
    }


def record_commits(params: Params, out: Path) -> str:
    """Write the commit of each parameter that names a model or table of the hub; null for the others.

    Of a model in a folder it is a hash of the files, so that the stages that read it run again when they change.

    An address that has a commit in the record of this folder keeps it, wherever its branch is now. So that all stages
    see one commit, it is the same for each parameter with that address.

    Returns a one-line summary. Raises InputError if a commit is not known and cannot be had.
    """
    named = addresses(params)
    known = {(named[key][0], address): commit for key, (address, commit) in read_record().items() if key in named}
    record: dict[str, dict[str, dict[str, str] | None]] = {}
    new = 0
    for key, (kind, address) in named.items():
        entry = None
        if address is not None and kind_of(address) == "hub":
            if (kind, address) not in known:
                parameter = key if kind == "model" else f"{key}.path"
                known[kind, address] = commit_of(kind, *split_revision(address), parameter)
                new += 1
            entry = {"address": address, "commit": known[kind, address]}
            logger.info("%s: %s is commit %s", key, address, entry["commit"])
        elif address is not None and kind == "model" and kind_of(address) == "local":
            folder = Path(expand_home(address))
            entry = {"address": address, "content": folder_hash(folder)} if folder.is_dir() else None
        section, _, name = key.partition(".")
        record.setdefault(section, {})[name] = entry
    write_json(out, record)
    entries = [entry for names in record.values() for entry in names.values() if entry and "commit" in entry]
    count = len({entry["address"] for entry in entries})
    return f"{count} addresses of the hub, {new} of them new, in {out}"
