"""Datasets from the hub, which no test may reach: what is requested, and the error if it cannot be reached."""

import time
from types import SimpleNamespace

import pandas as pd
import pytest

from pipeline.addresses import hub


@pytest.fixture(autouse=True)
def forget():
    """Forget what the hub answered another test."""
    hub.connection_error.cache_clear()
    yield
    hub.connection_error.cache_clear()


def test_the_hub_is_asked_once_for_each_name(monkeypatch):
    from huggingface_hub import HfApi

    asked = []

    def unplugged(_self, name, **_options):
        asked.append(name)
        raise OSError("Name or service not known")

    monkeypatch.setattr(HfApi, "dataset_info", unplugged)
    for name in ("someone/one", "someone/one", "someone/other"):
        assert hub.connection_error("dataset", name) == "Name or service not known"
    assert asked == ["someone/one", "someone/other"]


def test_a_hub_out_of_reach_is_one_quick_error(monkeypatch, tmp_path, caplog, complaint):
    from huggingface_hub import HfApi

    def unplugged(*_args, **_options):
        raise OSError("Name or service not known")

    monkeypatch.setattr(HfApi, "dataset_info", unplugged)
    started = time.monotonic()
    message = complaint("someone/no-such-dataset")
    assert time.monotonic() - started < 10
    assert message == (
        "data.source.path: someone/no-such-dataset is not a local file, and the hub did not provide it: it cannot be "
        "reached (Name or service not known) and its cache here has no such dataset"
    )
    assert not caplog.records


def test_a_hub_out_of_reach_leaves_its_cache(monkeypatch, load):
    import datasets
    from huggingface_hub import HfApi

    def unplugged(*_args, **_options):
        raise OSError("Name or service not known")

    def cached(path, config, split):
        assert datasets.config.HF_HUB_OFFLINE
        assert (path, config, split) == ("someone/reviews", "small", "test")
        return SimpleNamespace(to_pandas=lambda: pd.DataFrame({"text": ["a"], "label": [1]}))

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(HfApi, "dataset_info", unplugged)
    monkeypatch.setattr(datasets, "load_dataset", cached)
    assert load("someone/reviews", config="small", split="test")["label"].tolist() == ["1"]
    assert not datasets.config.HF_HUB_OFFLINE


def test_a_hub_that_answers_says_what_is_wrong(monkeypatch, complaint):
    import datasets
    from huggingface_hub import HfApi

    def refusing(*_args, **_options):
        raise ValueError("Unknown split \"trian\". Should be one of ['train'].")

    monkeypatch.setattr(HfApi, "dataset_info", lambda *_args, **_options: None)
    monkeypatch.setattr(datasets, "load_dataset", refusing)
    assert 'Unknown split "trian"' in complaint("someone/reviews", split="trian")
