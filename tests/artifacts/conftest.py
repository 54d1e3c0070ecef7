"""Every test here starts with an empty work cache."""

import pytest


@pytest.fixture(autouse=True)
def work_cache(tmp_path, monkeypatch):
    """The user's cache folder, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "l2a"
