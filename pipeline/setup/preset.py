"""A preset as a whole params file, which DVC needs: it reads params.yaml alone."""

from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

from pipeline.errors import InputError
from pipeline.params.edit import overlay_preset, replace_header
from pipeline.params.file import load
from pipeline.params.overlay import PRESETS, base_of, find_params
from pipeline.setup.columns import Choose
from pipeline.setup.write import KEYS, check_project, check_text, write_params
from pipeline.storage.atomic import check_writable

USE = "# Laid over params.yaml: "
"""The line of a preset's header that states how to use it, which the whole file does not need."""
FROM = "{preset} laid over params.yaml by `l2a init --preset {name}`."


def init_preset(name: Path, *, out: Path, choose: Choose, say: Callable[[str], None]) -> str:
    """Write params.yaml with a preset laid over it.

    Args:
        name: the preset's name, or its path.
        out, choose, say: as in `init`.

    Returns what was written and what to run next. Raises InputError, before anything is written, if there is no such
    preset, or params.yaml lacks keys.
    """
    check_project()
    check_writable(out, "--out", folder=False)
    path = find_params(name)
    base = base_of(path)
    if base is None:
        raise InputError(f"--preset: got {name}; accepted: the name of a file in {PRESETS}")
    params = load(path)
    preset = path.read_text(encoding="utf-8")
    text = overlay_preset(base.read_text(encoding="utf-8"), preset, str(base))
    about = takewhile(lambda line: line.startswith("#") and not line.startswith(USE), preset.splitlines())
    header = [*(line.removeprefix("#").strip() for line in about), FROM.format(preset=path, name=path.stem), KEYS]
    text = replace_header(text, "\n".join(header))
    if check_text(text) != params:
        raise InputError(f"{path}: a value of several lines cannot be laid over {base}; accepted: a value on one line")
    return write_params(text, out, choose, say)
