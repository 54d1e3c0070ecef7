"""Presets: laid over params.yaml, switched without a trace, and wrong where params.yaml would be."""

from itertools import permutations
from pathlib import Path
from typing import get_args

import pytest
from helpers.tiny_project import ROOT

from pipeline.errors import InputError
from pipeline.params.data import Table
from pipeline.params.file import load
from pipeline.params.overlay import merge, read_params
from pipeline.params.types import Section
from pipeline.params.yaml12 import read_yaml

PRESETS = sorted(path.stem for path in (ROOT / "presets").glob("[pqs]*.yaml"))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a params.yaml and presets: `project(x="alpha: 2")`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "presets").mkdir()
    (tmp_path / "params.yaml").write_text(
        "alpha: 0.5\nteacher: {batch_size: 8, warmup: 0.0}\n"
        "data: {target: {path: t.csv, rows: 8, where: {a: 1}, columns: {text: x, label: y}}}"
    )

    def write(**presets):
        for name, text in presets.items():
            (tmp_path / "presets" / f"{name}.yaml").write_text(text)

    return write


@pytest.mark.parametrize("name", ["x", "presets/x.yaml", "./presets/x.yaml"])
def test_a_preset_is_laid_over_params_yaml(project, name):
    project(x="teacher: {batch_size: 4}\ntemperature: 2.0")
    params = load(Path(name))
    assert (params.alpha, params.temperature) == (0.5, 2.0)
    assert (params.teacher.batch_size, params.teacher.warmup) == (4, 0.0)


def test_its_folder_may_be_the_working_directory_or_far_away(project, tmp_path, monkeypatch):
    project(x="temperature: 2.0")
    monkeypatch.chdir(tmp_path / "presets")
    assert load(Path("x.yaml")).alpha == 0.5
    monkeypatch.chdir("/")
    assert load(tmp_path / "presets" / "x.yaml").alpha == 0.5


def test_a_file_elsewhere_is_laid_over_nothing(project, tmp_path):
    (tmp_path / "x.yaml").write_text("data: {target: {path: u.csv, rows: 8}}")
    params = load(tmp_path / "x.yaml")
    assert (params.alpha, params.data.target.where) == (1.0, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alhpa: 1", "presets/x.yaml over params.yaml: alhpa: unknown parameter; accepted: .*; nearest: alpha"),
        ("data: {target: {pth: x}}", r"presets/x.yaml over params.yaml: data\.target\.pth: unknown parameter; .*"),
        ("alpha: -1", "presets/x.yaml over params.yaml: alpha: got -1; accepted: .*"),
        ("teacher: null", "presets/x.yaml over params.yaml: teacher: got null; accepted: a section with .*"),
        ("teacher: [1]", r"presets/x.yaml over params.yaml: teacher: got \[1\]; accepted: a section with .*"),
        ("", "presets/x.yaml: got nothing; accepted: a mapping of parameters"),
        ("a: [", "presets/x.yaml: not YAML: .*"),
    ],
)
def test_a_wrong_preset_is_named(project, text, said):
    project(x=text)
    with pytest.raises(InputError, match=f"^{said}$"):
        load(Path("x"))


def test_what_it_is_laid_over_has_to_be_there(project, tmp_path):
    project(x="alpha: 2.0")
    (tmp_path / "params.yaml").unlink()
    with pytest.raises(InputError, match=r"^params\.yaml: no such params file$"):
        load(Path("x"))


def test_a_name_that_no_preset_has(project):
    project(small="alpha: 2.0")
    with pytest.raises(InputError, match=r"^smal: no such preset; accepted: a params file, or a preset: small; near"):
        load(Path("smal"))


def test_merged_by_hand():
    base = {"a": {"x": 1, "y": 2}, "b": 3}
    assert merge(base, {"a": {"y": None, "z": 4}, "c": {"d": 5}}) == {
        "a": {"x": 1, "y": None, "z": 4}, "b": 3, "c": {"d": 5},
    }  # fmt: skip
    assert base == {"a": {"x": 1, "y": 2}, "b": 3}


def test_a_table_with_a_path_replaces_the_table_and_its_data_keys_replace_theirs():
    base = {"data": {"source": {"path": "s", "where": {"a": 1}, "labels": {"0": "no"}, "rows": 9}, "labels": ["a"]}}
    other = {"path": "t", "rows": 5}
    assert merge(base, {"data": {"source": other}})["data"] == {"source": other, "labels": ["a"]}
    changed = merge(base, {"data": {"source": {"rows": 5, "labels": {"1": "yes"}, "where": {"b": 2}}}})["data"][
        "source"
    ]
    assert changed == {"path": "s", "where": {"b": 2}, "labels": {"1": "yes"}, "rows": 5}
    assert merge(base, {"data": {"source": None}})["data"]["source"] is None
    assert merge(merge(base, {"data": {"source": None}}), base) == base


def sections(section=Section):
    for child in section.__subclasses__():
        yield child
        yield from sections(child)


def test_only_tables_have_a_path():
    assert {section for section in sections() if "path" in section.model_fields} == {Table, *Table.__subclasses__()}
    mappings = {
        name
        for section in sections()
        for name, field in section.model_fields.items()
        if getattr(field.annotation, "__origin__", None) is dict or dict in get_args(field.annotation)
    }
    assert mappings == {"labels", "where"}


def test_a_preset_over_another_is_the_preset():
    base = read_yaml(ROOT / "params.yaml")
    presets = {name: read_yaml(ROOT / "presets" / f"{name}.yaml") for name in PRESETS}
    for first, second in permutations(PRESETS, 2):
        assert merge(merge(base, presets[first]), presets[second]) == merge(base, presets[second]), (first, second)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_every_key_that_init_may_have_changed(name):
    preset = read_yaml(ROOT / "presets" / f"{name}.yaml")
    assert {"task", "max_length", "data", "teacher", "generator", "augment", "cache", "student"} <= preset.keys()
    assert {"model", "domains", "epochs", "frozen", "batch_size", "learning_rate"} <= preset["teacher"].keys()
    assert "keep" in preset["augment"]
    assert {"layers", "pick", "pooling"} <= preset["student"].keys()
    assert preset["objectives"].keys() == {"attention", "hidden", "vectors"}
    assert {"least_steps", "originals", "learning_rate", "dropout"} == preset["distill"].keys()
    assert {"reward", "hidden", "learning_rate"} == preset["selector"].keys()
    assert {"model", "adapter", "steps"} <= preset["generator"].keys()
    assert preset["data"].keys() == {"source", "target", "unlabelled"}
    assert all("path" in table for table in preset["data"].values() if table is not None)
    assert preset["augment"].keys() == {"samples", "keep"}


def test_the_embedded_generator_s_preset_is_that_of_its_description():
    params = read_params(ROOT / "presets" / "embedded-generator.yaml")
    assert params["seed"] == 1
    generator = load(ROOT / "presets" / "embedded-generator.yaml").generator
    assert (generator.steps, generator.rank, generator.batch_size, generator.mask) == (2300, 64, 64, 0.2)
    assert (generator.learning_rate, generator.warmup, generator.max_length) == (2e-3, 0.05, 64)
    assert generator.adapter is None
    assert generator.text.where == {"source": "imdb"}
