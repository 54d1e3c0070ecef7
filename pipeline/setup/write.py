"""Checking and writing a params file where one may exist already."""

from collections.abc import Callable
from pathlib import Path

from ruamel.yaml.error import YAMLError

from pipeline.errors import InputError
from pipeline.params.file import check, check_keys
from pipeline.params.schema import Params
from pipeline.params.yaml12 import parse
from pipeline.setup.columns import Choose
from pipeline.storage.atomic import publish_file

PARAMS = Path("params.yaml")
"""The params file that DVC reads."""
KEYS = "Every key with its meaning, unit and equation: pipeline/params/. Vary one: dvc exp run -S alpha=0.8"
"""The last line of its header."""


def check_project() -> None:
    """Raise InputError outside a project's folder, with the folder of the project that this code is part of."""
    if not PARAMS.is_file():
        project = Path(__file__).parents[2]
        there = f", such as {project}" if (project / PARAMS).is_file() else ""
        raise InputError(
            f"no {PARAMS} in {Path.cwd()}; accepted: the project's folder, in which DVC runs{there}; "
            "a table may lie anywhere"
        )


def check_text(text: str) -> Params:
    """The params of a text made from params.yaml.

    Raises InputError if one is wrong, or if a key that DVC needs is missing.
    """
    try:
        values = parse(text)
    except YAMLError as error:
        raise InputError(
            f"{PARAMS}: one of its values cannot be replaced in place; "
            "accepted: a key a line, without anchors or aliases, as in the params.yaml that came with the project"
        ) from error
    params = check(values, str(PARAMS))
    check_keys(values, str(PARAMS))
    return params


def write_params(text: str, out: Path, choose: Choose, say: Callable[[str], None]) -> str:
    """Write a params file; a different one that is there is kept beside it under a name with `.bak`.

    Args:
        choose: asks whether to replace the file; with any answer but the first nothing is written.
        say: prints a line.

    Returns what was written and what to run next.
    """
    if out.exists() and out.read_bytes() != text.encode():
        backup = _backup_name(out)
        if choose(f"{out} exists already:", [f"replace it; the old file is kept as {backup}", "leave it as it is"]):
            return f"nothing written, {out} is as it was"
        with publish_file(backup) as temporary:
            temporary.write_bytes(out.read_bytes())
        say(f"the old {out} is now {backup}")
    with publish_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    first = "" if out.resolve() == PARAMS.resolve() else f"cp {out} {PARAMS} && "
    return f"{out} written; look it over, then {first}.venv/bin/l2a doctor && .venv/bin/dvc repro"


def _backup_name(path: Path) -> Path:
    """`params.yaml.bak`, or the first of `.bak2`, `.bak3` … that is free."""
    number = 1
    while (backup := path.with_name(f"{path.name}.bak{number if number > 1 else ''}")).exists():
        number += 1
    return backup
