"""Runs what `python -m MODULE OPTIONS` does, and tells what it spends on the hub.

    python hub_seconds.py FILE MODULE OPTIONS

Writes to FILE the seconds within HTTP requests, from the connection to the answer's headers, and their number.
"""

import runpy
import sys
import time
from pathlib import Path
from typing import Any

from huggingface_hub.utils import _http

# The library that huggingface_hub sends its requests with.
client: Any = vars(_http)["httpx2"].Client
send = client.send
seconds, requests = 0.0, 0


def timed(*arguments: Any, **options: Any) -> Any:
    """Send a request, and count it."""
    global seconds, requests
    start = time.perf_counter()
    try:
        return send(*arguments, **options)
    finally:
        seconds += time.perf_counter() - start
        requests += 1


file, module, *options = sys.argv[1:]
client.send = timed
sys.argv = [module, *options]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
finally:
    Path(file).write_text(f"{seconds} {requests}", encoding="ascii")
