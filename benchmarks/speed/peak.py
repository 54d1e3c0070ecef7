"""Runs a command and writes its exit code and most kilobytes into a file: `python peak.py FILE COMMAND …`.

A process of its own, and a small one: Linux counts what a parent held when it started a child as the child's.
"""

import os
import sys

if __name__ == "__main__":
    child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
    _, status, usage = os.wait4(child, 0)
    with open(sys.argv[1], "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib would be imported first
        file.write(f"{os.waitstatus_to_exitcode(status)} {usage.ru_maxrss}")
