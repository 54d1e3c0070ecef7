"""Runs a command and writes its exit code and peak memory in kB into a file: `python peak_memory.py FILE COMMAND …`.

It runs in a small process of its own, because Linux counts the memory that a parent has at the start of a child as the
child's.
"""

import os
import sys

if __name__ == "__main__":
    child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
    _, status, usage = os.wait4(child, 0)
    with open(sys.argv[1], "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib would be imported first
        file.write(f"{os.waitstatus_to_exitcode(status)} {usage.ru_maxrss}")
