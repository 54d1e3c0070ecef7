"""Runs stages one after the other, each in a fork of this process, and writes what modules each imported beyond it.

`loaded.py LIBRARIES STAGE…`: imports the libraries first. A stage may have options: `"refine --round 2"`. The names go
to STAGE.modules in the working directory.
"""

import os
import runpy
import sys
from importlib import import_module
from pathlib import Path

libraries, *stages = sys.argv[1:]
for library in libraries.split():
    import_module(library)
before = set(sys.modules)
for stage in stages:
    if not os.fork():
        sys.argv = stage.split()
        try:
            runpy.run_module(f"stages.{sys.argv[0]}", run_name="__main__", alter_sys=True)
        except SystemExit as stop:
            Path(f"{stage}.modules").write_text("\n".join(sorted(set(sys.modules) - before)))
            os._exit(int(stop.code or 0))
    if os.wait()[1]:
        sys.exit(f"{stage}: failed")
