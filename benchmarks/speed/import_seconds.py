"""Runs what `python -m MODULE OPTIONS` or `python -c CODE` does, and tells what its imports cost.

    python import_seconds.py FILE -m MODULE OPTIONS

Writes to FILE the processor seconds within imports, those inside functions included, and the number of modules.
"""

import importlib
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Every import of a module that is not there yet calls this function.
bootstrap: Any = importlib._bootstrap
find_and_load: Callable[..., Any] = bootstrap._find_and_load
depth, seconds = 0, 0.0


def timed(*arguments: Any) -> Any:
    """Import a module, and count its time if no other import waits for it."""
    global depth, seconds
    depth += 1
    start = time.process_time()
    try:
        return find_and_load(*arguments)
    finally:
        depth -= 1
        if not depth:
            seconds += time.process_time() - start


file, kind, what, *options = sys.argv[1:]
bootstrap._find_and_load = timed
sys.argv = [kind, *options]
try:
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(what)
finally:
    Path(file).write_text(f"{seconds} {len(sys.modules)}", encoding="ascii")
