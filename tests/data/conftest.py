"""Fixtures that write and load tables; hypothesis has no deadline, as a busy machine is slow."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import settings

from pipeline.data.loading import load_table
from pipeline.errors import InputError
from pipeline.params.data import Table

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def written() -> Callable[..., Path]:
    """Write a file and return its path: `written(path, "text,label\\n")`."""

    def write(path: Path, content: str | bytes) -> Path:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(scope="session")
def load() -> Callable[..., pd.DataFrame]:
    """Load a table as the source: `load(path, columns={"text": "review"})`."""

    def run(path: Path | str, labelled: bool = True, **options: object) -> pd.DataFrame:
        return load_table(Table.model_validate({"path": str(path), **options}), "data.source", labelled=labelled)

    return run


@pytest.fixture(scope="session")
def complaint(load: Callable[..., pd.DataFrame]) -> Callable[..., str]:
    """Load a table that cannot be used, and return the error, which must be one line."""

    def run(path: Path | str, **options: object) -> str:
        with pytest.raises(InputError) as caught:
            load(path, **options)
        message = str(caught.value)
        assert "\n" not in message
        assert len(message) < 1000
        return message

    return run
