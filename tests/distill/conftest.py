"""Every test here starts with an empty work cache."""

import pytest

from pipeline.distill.cache_teacher import cache_teacher


@pytest.fixture(autouse=True)
def empty(work_cache):
    """Before each of them."""


@pytest.fixture
def run(make_params, uneven, augmented, tiny_classifier, tmp_path):
    """Cache what a teacher says and thinks; with `kinds` these alone are kept, and nothing wants the others."""

    def run(name="teacher", *, prepared=uneven, augmented=augmented, teacher=tiny_classifier, kinds=None, **settings):
        settings.setdefault("distill", {"originals": ["target"]})
        if kinds is not None:
            wanted = {kind: kind in kinds for kind in ("logits", "hidden", "attention")}
            off = {"dark": wanted["logits"], "hidden": wanted["hidden"], "attention": wanted["attention"]}
            settings |= {"cache": wanted, "objectives": {name: int(on) for name, on in off.items()}}
            settings |= {"selector": {"kind": "reinforced" if wanted["logits"] else "none"}}
        params = make_params(augment={"shards": 2}, **settings)
        said = cache_teacher(params, prepared=prepared, augmented=augmented, teacher=teacher, out=tmp_path / name)
        return tmp_path / name, said

    return run
