"""Files read one after the other as one, without a copy of the whole."""

import io
import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any


class JoinedFiles(io.RawIOBase):
    """The bytes of several files in order, to be read at any position."""

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__()
        self._paths = paths
        self._ends = list(accumulate(path.stat().st_size for path in paths))
        self._position = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position from which the next bytes are read."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to an offset from the start, the position or the end. Raises ValueError before the start."""
        position = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._ends[-1]}[whence] + offset
        if position < 0:
            raise ValueError(f"position {position} is before the start")
        self._position = position
        return position

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer up to its end or that of the current file; return the number of bytes, 0 at the end."""
        number = bisect_right(self._ends, self._position)
        if number == len(self._paths):
            return 0
        # Opened for each buffer, so that there is nothing to close.
        with self._paths[number].open("rb", buffering=0) as file:
            file.seek(self._position - (self._ends[number - 1] if number else 0))
            read = file.readinto(buffer)
        self._position += read
        return read
