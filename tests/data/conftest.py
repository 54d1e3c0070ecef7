"""Tables for the tests of loading; examples may take their time, as a busy machine is no failure."""

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

    def run(path: Path | str, labelled: bool = True, **given: object) -> pd.DataFrame:
        return load_table(Table.model_validate({"path": str(path), **given}), "data.source", labelled=labelled)

    return run


@pytest.fixture(scope="session")
def complaint(load: Callable[..., pd.DataFrame]) -> Callable[..., str]:
    """Load a table that cannot be used, and return the one line that says why."""

    def run(path: Path | str, **given: object) -> str:
        with pytest.raises(InputError) as caught:
            load(path, **given)
        message = str(caught.value)
        assert "\n" not in message
        assert len(message) < 1000
        return message

    return run
