"""Every parameter checked before any work: the message names the key, what was found and what is accepted."""

import ast
import inspect
import re
import shutil
from pathlib import Path
from textwrap import dedent

import pytest
from pydantic import ValidationError

from pipeline.errors import InputError
from pipeline.params.file import check, check_keys, check_whole, load
from pipeline.params.overlay import read_params
from pipeline.params.schema import Params
from pipeline.params.types import Section
from pipeline.params.yaml12 import read_yaml, to_yaml

ROOT = Path(__file__).parents[2]
PAIRS = {"path": "t.csv", "rows": 8, "columns": {"text_pair": "second"}}


@pytest.fixture
def refuse(tmp_path):
    """The one line of the error of a params file, without the file's name."""

    def line(text, *, path=tmp_path / "params.yaml"):
        if text is not None:
            path.write_bytes(text) if isinstance(text, bytes) else path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError) as error:
            load(path)
        said = str(error.value)
        assert "\n" not in said
        assert said.startswith(f"{path}: ")
        return said.removeprefix(f"{path}: ")

    return line


@pytest.fixture
def refuse_params(refuse):
    """The error of params with one wrong section: `refuse_params(augment={"samples": ...})`."""

    def line(**sections):
        return refuse(to_yaml({"data": {"target": {"path": "t.csv", "rows": 8}}, **sections}))

    return line


@pytest.mark.parametrize(
    "path", [ROOT / "params.yaml", *sorted((ROOT / "presets").glob("*.yaml"))], ids=lambda path: path.name
)
def test_what_comes_with_the_project_is_accepted(path):
    assert isinstance(load(path), Params)


@pytest.mark.parametrize("path", [ROOT / "params.yaml", *sorted((ROOT / "presets").glob("*.yaml"))])
def test_what_comes_with_the_project_has_every_key_that_dvc_depends_on(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    check_keys(read_params(path), str(path))


def test_keys_that_dvc_would_miss_in_the_middle_of_the_work_are_named_before_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = read_yaml(ROOT / "params.yaml")
    file = Path("params.yaml")
    file.write_text(to_yaml(whole))
    shutil.copy(ROOT / "dvc.yaml", "dvc.yaml")
    check_whole(file)
    del whole["alpha"], whole["cache"], whole["evaluate"]["student_ft"]
    file.write_text(to_yaml(whole))
    assert isinstance(load(file), Params)
    with pytest.raises(InputError) as error:
        check_whole(tmp_path / file)
    assert str(error.value) == (
        f"{tmp_path / file}: alpha, cache, evaluate.student_ft missing, which dvc.yaml names; "
        "accepted: a file with all of them"
    )
    file.rename("other.yaml")
    check_whole(Path("other.yaml"))


def test_the_defaults_are_the_paper_s():
    params = Params.model_validate({"data": {"target": {"path": "t.csv", "per_class": 40}}})
    assert (params.augment.samples.source, params.augment.samples.target) == (1, 20)
    assert (params.augment.count, params.augment.min_distance) == ("rescaled", 1)
    assert params.selector.discount == 0.9
    assert (params.objectives.attention, params.objectives.hidden, params.objectives.dark) == (1, 1, 1)
    assert params.objectives.temperature == 1
    assert params.objectives.active() == ["attention", "hidden", "dark"]
    assert (params.distill.states_first, params.student.pick) == (0, "first")


@pytest.mark.parametrize("augment", [{"method": "eda"}, {"side": "second"}])
def test_single_texts_have_no_shared_words(augment):
    sections = {"data": {"target": {"path": "t.csv", "rows": 8}}, "augment": {"shared": "alike", **augment}}
    assert Params.model_validate(sections).augment.shared == "alike"


def test_params_do_not_change():
    params = Params.model_validate({"data": {"target": {"path": "t.csv", "rows": 8}}})
    with pytest.raises(ValidationError):
        params.alpha = 2.0


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"data": {"target": {"path": "t.csv", "rows": 8, "labels": {"a": None}}}},
         "data.target.labels: got a: null; accepted: a name, in quotes if need be"),
        ({"data": {"target": {"path": "t.csv", "rows": 8, "labels": {0: True}}}},
         "data.target.labels: got 0: True; accepted: a name, in quotes if need be"),
        ({"alpha": 0}, "alpha: got 0; accepted: greater than or equal to 0.001"),
        ({"alpha": -0.5}, "alpha: got -0.5; accepted: greater than or equal to 0.001"),
        ({"alpha": 0.0009}, "alpha: got 0.0009; accepted: greater than or equal to 0.001"),
        ({"alpha": 1001}, "alpha: got 1001; accepted: less than or equal to 1000"),
        ({"alpha": "big"}, "alpha: got 'big'; accepted: number"),
        ({"alpha": None}, "alpha: got null; accepted: number"),
        ({"alpha": True}, "alpha: got True; accepted: finite number"),
        ({"alpha": float("nan")}, "alpha: got nan; accepted: finite number"),
        ({"alpha": float("inf")}, "alpha: got inf; accepted: finite number"),
        ({"alpha": "inf"}, "alpha: got 'inf'; accepted: finite number"),
        ({"alpha": [1]}, "alpha: got [1]; accepted: number"),
        ({"alpha": {"a": 1}}, "alpha: got {'a': 1}; accepted: number"),
        ({"temperature": 0}, "temperature: got 0; accepted: greater than or equal to 0.001"),
        ({"temperature": 1e4}, "temperature: got 10000.0; accepted: less than or equal to 1000"),
        ({"objectives": {"temperature": 0}}, "objectives.temperature: got 0; accepted: greater than or equal to 0.001"),
        ({"objectives": {"temperature": 1e4}},
         "objectives.temperature: got 10000.0; accepted: less than or equal to 1000"),
        ({"seed": -1}, "seed: got -1; accepted: greater than or equal to 0"),
        ({"seed": 2**32}, "seed: got 4294967296; accepted: less than or equal to 4294967295"),
        ({"seed": 1.5}, "seed: got 1.5; accepted: integer"),
        ({"seed": "one"}, "seed: got 'one'; accepted: integer"),
        ({"max_length": 7}, "max_length: got 7; accepted: greater than or equal to 8"),
        ({"augment": {"samples": {"source": 1, "target": -1}}},
         "augment.samples.target: got -1; accepted: greater than or equal to 0"),
        ({"augment": {"samples": {"source": True, "target": 1}}},
         "augment.samples.source: got True; accepted: integer"),
        ({"augment": {"samples": {"source": 1, "target": 2.5}}}, "augment.samples.target: got 2.5; accepted: integer"),
        ({"augment": {"samples": {"source": 1}}}, "augment.samples.target: missing; it has no default"),
        ({"augment": {"shards": 0}}, "augment.shards: got 0; accepted: greater than or equal to 1"),
        ({"augment": {"count": "litteral"}},
         "augment.count: got 'litteral'; accepted: rescaled, literal, vocabulary_free; nearest: literal"),
        ({"augment": {"fill": 1}}, "augment.fill: got 1; accepted: parallel, sequential"),
        ({"augment": {"keep": "[A-Z"}},
         "augment.keep: got '[A-Z' (unterminated character set at position 0); accepted: a regular expression"),
        ({"augment": {"keep": "(?P<a>x)(?P<a>y)"}}, "augment.keep: got '(?P<a>x)(?P<a>y)' (redefinition of group"),
        ({"augment": {"keep": ["<e1>"]}}, "augment.keep: got ['<e1>']; accepted: string"),
        ({"task": "regresion"}, "task: got 'regresion'; accepted: classification, regression; nearest: regression"),
        ({"score": "matthews"}, "score: got 'matthews'; accepted: auto, accuracy, f1, mcc"),
        ({"score": "f1", "task": "regression"},
         "score: got f1, but regression has no classes; accepted: auto (R²)"),
        ({"selector": {"kind": None}}, "selector.kind: got null; accepted: reinforced, random, none; nearest: none"),
        ({"selector": {"discount": 1.1}}, "selector.discount: got 1.1; accepted: less than or equal to 1"),
        ({"selector": {"initial_keep": 1}}, "selector.initial_keep: got 1; accepted: less than 1"),
        ({"selector": {"representations": "perhaps"}}, "selector.representations: got 'perhaps'; accepted: boolean"),
        ({"teacher": {"domains": []}}, "teacher.domains: got []; accepted: "),
        ({"teacher": {"domains": ["source", "targett"]}},
         "teacher.domains.1: got 'targett'; accepted: source, target; nearest: target"),
        ({"teacher": {"learning_rate": 0}}, "teacher.learning_rate: got 0; accepted: greater than 0"),
        ({"teacher": 5}, "teacher: got 5; accepted: a section with batch_size, "),
        ({"teacher": None}, "teacher: got null; accepted: a section with "),
        ({"distill": {"states_first": 1}}, "distill.states_first: got 1; accepted: less than 1"),
        ({"student": {"pick": "last"}}, "student.pick: got 'last'; accepted: first, spaced, ends"),
        ({"objectives": {"hard": -1}}, "objectives.hard: got -1; accepted: greater than or equal to 0"),
        ({"distill": {"warmup": -0.1}}, "distill.warmup: got -0.1; accepted: greater than or equal to 0"),
        ({"generator": {"heldout": {"path": ""}}}, "generator.heldout.path: got ''; accepted: "),
        ({"generator": {"text": {"path": "t.csv", "where": {"a": {"b": 1}}}}},
         "generator.text.where.a: got {'b': 1}; accepted: string, integer, number, boolean, list"),
        ({"generator": {"text": {"path": "t.csv", "where": {"a": [None]}}}}, "generator.text.where.a"),
        ({"evaluate": {"resamples": 99}}, "evaluate.resamples: got 99; accepted: greater than or equal to 100"),
        ({"evaluate": {"resamples": 10**12}},
         "evaluate.resamples: got 1000000000000; accepted: less than or equal to 1000000"),
        ({"max_length": 10**7}, "max_length: got 10000000; accepted: less than or equal to 1000000"),
        ({"generator": {"max_length": 10**7}}, "generator.max_length: got 10000000; accepted: less than or equal to 1"),
        ({"augment": {"shards": 10_001}}, "augment.shards: got 10001; accepted: less than or equal to 10000"),
        ({"augment": {"samples": {"source": 0, "target": 10**9}}},
         "augment.samples.target: got 1000000000; accepted: less than or equal to 10000"),
        ({"teacher": {"epochs": {"source": 10**400, "target": 1}}},
         f"teacher.epochs.source: got 1{'0' * 17}...{'0' * 19}; accepted: number"),
        ({"teacher": {"epochs": {"source": 10**9, "target": 1}}},
         "teacher.epochs.source: got 1000000000; accepted: less than or equal to 10000"),
        ({"teacher": {"epochs": {"source": -0.5, "target": 1}}},
         "teacher.epochs.source: got -0.5; accepted: greater than or equal to 0"),
        ({"teacher": {"epochs": {"source": True, "target": 1}}}, "teacher.epochs.source: got True; accepted: number"),
        ({"teacher": {"epochs": {"source": float("nan"), "target": 1}}},
         "teacher.epochs.source: got nan; accepted: finite number"),
        ({"teacher": {"domains": "all"}}, "teacher.domains: got 'all'; accepted: list, 'auto'"),
        ({"teacher": {"domains": "auto", "epochs": {"source": 0, "target": 1}}},
         "teacher: domains: got auto with epochs of 0 (source) and 1 (target); accepted: epochs above 0 for both"),
        ({"teacher": {"frozen": -1}}, "teacher.frozen: got -1; accepted: greater than or equal to 0"),
        *[({section: {name: 2**70}}, f"{section}.{name}: got {2**70}; accepted: less than or equal to {most}")
          for section, name, most in [
              ("distill", "epochs", 10**6), ("distill", "least_steps", 10**6), ("distill", "batch_size", 10**6),
              ("generator", "steps", 10**6), ("augment", "min_distance", 10**6), ("refine", "epochs", 10**6),
              ("selector", "hidden", 10**4), ("generator", "rank", 10**4), ("student", "layers", 10**4),
              ("student", "hidden", 10**4), ("student", "intermediate", 10**4), ("student", "heads", 10**4)]],
        ({"data": {"target": {"path": "t.csv", "rows": 8, "test": 2**31 + 1}}},
         "data.target.test: got 2147483649; accepted: less than or equal to 2147483648"),
        ({"alpha": [[0] * 9] * 2}, "alpha: got [[0, 0, 0, 0, 0, 0, ...], [0, 0, 0, 0, 0, 0, ...]]; accepted: number"),
        ({"alpha": [0] * 1000}, "alpha: got [0, 0, 0, 0, 0, 0, ...]; accepted: number"),
        ({"alpha": "x" * 1000}, f"alpha: got '{'x' * 37}...{'x' * 38}'; accepted: number"),
    ],
)  # fmt: skip
def test_a_value_that_is_not_accepted(refuse_params, sections, said):
    assert refuse_params(**sections).startswith(said)


@pytest.mark.parametrize(
    ("sections", "place", "nearest", "others"),
    [
        ({"alhpa": 1}, "alhpa", "alpha", "temperature, max_length"),
        ({"augment": {"sample": 1}}, "augment.sample", "samples", "count, min_distance"),
        ({"augment": {"samples": {"source": 1, "target": 1, "targett": 1}}},
         "augment.samples.targett", "target", "source"),
        ({"evaluate": {"student_ft": {"epoch": 2}}}, "evaluate.student_ft.epoch", "epochs", "batch_size"),
        ({"generator": {"heldout": {"path": "t", "columns": {"txt": "x"}}}},
         "generator.heldout.columns.txt", "text", "group"),
        ({"selector": {"rewards": "loss"}}, "selector.rewards", "reward", "kind"),
    ],
)  # fmt: skip
def test_an_unknown_key_and_the_nearest_known_one(refuse_params, sections, place, nearest, others):
    said = refuse_params(**sections)
    assert said.startswith(f"{place}: unknown parameter; accepted: ")
    assert others in said
    assert said.endswith(f"; nearest: {nearest}")


def test_an_unknown_key_like_no_other(refuse_params):
    said = refuse_params(objectives={"zzz": 1})
    assert said == (
        "objectives.zzz: unknown parameter; accepted: attention, hidden, dark, temperature, hard, logits, cosine, "
        "vectors, masked_lm, patience, relations, scores, layers"
    )


def test_a_misspelt_key_that_has_to_be_given(refuse):
    said = refuse("data: {targt: {path: t.csv, rows: 8}}")
    assert said == "data.targt: unknown parameter; accepted: target, source, unlabelled, labels; nearest: target"


def test_an_unknown_key_of_a_section_that_may_be_missing(refuse):
    text = "data: {target: {path: t.csv, rows: 8}, source: {path: s.csv, row: 3}}"
    assert refuse(text).endswith("; nearest: rows")
    assert refuse(text).startswith("data.source.row: unknown parameter; accepted: path, config, split, columns")


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ({"per_class": 4, "rows": 8}, "per_class and rows"),
        ({"fraction": 0.1, "rows": 8}, "fraction and rows"),
        ({"per_class": 4, "fraction": 0.1, "rows": 8}, "per_class and fraction and rows"),
        ({}, "no size"),
    ],
)
def test_one_size_of_the_target(refuse_params, target, found):
    said = refuse_params(data={"target": {"path": "t.csv", **target}})
    assert said == f"data.target: got {found}; accepted: one of per_class, fraction, rows"


def test_what_has_to_be_given(refuse_params, refuse):
    assert refuse_params(data={"target": {"rows": 8}}) == "data.target.path: missing; it has no default"
    assert refuse("alpha: 1") == "data: missing; it has no default"
    assert refuse("data: {}") == "data.target: missing; it has no default"


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"task": "regression", "data": {"target": {"path": "t.csv", "per_class": 4}}},
         "data.target.per_class: regression has no classes; accepted: rows or fraction"),
        ({"data": {"target": PAIRS}, "augment": {"shared": "kept", "method": "eda"}},
         "augment.shared: got kept with augment.method: eda, which changes each text by itself; accepted: each"),
        ({"data": {"target": PAIRS}, "augment": {"shared": "alike", "side": "second"}},
         "augment.shared: got alike with augment.side: second; accepted: each, kept, or augment.side: both"),
        ({"pairs": "each", "data": {"target": PAIRS}, "objectives": {"relations": 1}},
         "objectives.relations: it reads two texts as one; accepted: 0, or pairs: cross"),
        ({"objectives": {"attention": 0, "hidden": 0, "dark": 0}},
         "objectives: all weights are 0; accepted: at least one above 0"),
        ({"cache": {"attention": False}},
         "cache.attention: got false, but objectives.attention needs it; accepted: true, or objectives.attention: 0"),
        ({"cache": {"hidden": False}},
         "cache.hidden: got false, but objectives.hidden needs it; accepted: true, or objectives.hidden: 0"),
        ({"cache": {"logits": False}},
         "cache.logits: got false, but objectives.dark needs it; accepted: true, or objectives.dark: 0"),
        ({"cache": {"logits": False}, "objectives": {"dark": 0}},
         "cache.logits: got false, but selector.kind needs it; accepted: true, or selector.kind: none"),
        ({"cache": {"hidden": False}, "objectives": {"hidden": 0}, "selector": {"representations": True}},
         "cache.hidden: got false, but selector.representations needs it; accepted: true, or "
         "selector.representations: false"),
        ({"generator": {"steps": 5}},
         "generator: steps is 5 but text is not given; accepted: a table with unlabelled text"),
        ({"cache": {"logits": False}, "objectives": {"dark": 0, "logits": 1}},
         "cache.logits: got false, but objectives.logits needs it; accepted: true, or objectives.logits: 0"),
        ({"cache": {"logits": False}, "selector": {"kind": "none"}, "objectives": {"dark": 0, "hard": 1}},
         "cache.logits: got false, but objectives.hard needs it; accepted: true, or objectives.hard: 0"),
        ({"cache": {"hidden": False}, "objectives": {"hidden": 0, "cosine": 1}},
         "cache.hidden: got false, but objectives.cosine needs it; accepted: true, or objectives.cosine: 0"),
        ({"distill": {"states_first": 0.5}, "objectives": {"dark": 0}},
         "distill.states_first: got 0.5, but all objectives with a weight above 0 are about states; accepted: 0, or "
         "objectives of both kinds"),
        ({"distill": {"states_first": 0.5}, "objectives": {"hidden": 0, "attention": 0, "hard": 1}},
         "distill.states_first: got 0.5, but all objectives with a weight above 0 are about predictions; accepted: 0, "
         "or objectives of both kinds"),
        ({"student": {"init": "bilstm"}},
         "student.init: got bilstm, which has no attention or hidden states to compare; accepted: a transformer, or "
         "objectives.attention: 0 and objectives.hidden: 0"),
        ({"student": {"layers": 1}, "objectives": {"patience": 1}},
         "objectives.patience: the student has one layer, and this loss trains the layers below the last; accepted: "
         "student.layers of 2 or more, or objectives.patience: 0"),
        ({"student": {"init": "encoder", "model": "bert", "layers": 1}, "objectives": {"patience": 1}},
         "objectives.patience: the student has one layer, and this loss trains the layers below the last; accepted: "
         "student.layers of 2 or more, or objectives.patience: 0"),
        *[({"student": {"init": "bilstm"}, "objectives": {"attention": 0, "hidden": 0, name: 0.5}},
           f"student.init: got bilstm, which has no attention or hidden states to compare; accepted: a transformer, or "
           f"objectives.{name}: 0")
          for name in ("hidden", "cosine", "vectors", "masked_lm", "patience", "relations", "scores", "layers")],
        ({"student": {"init": "bilstm"}, "objectives": {"attention": 0, "hidden": 0},
          "selector": {"representations": True}},
         "selector.representations: got true, but a bilstm has no [CLS] states; accepted: false"),
        ({"student": {"pooling": "mean"}},
         "student.pooling: got mean, whose layer has no states that objectives.attention could compare; accepted: "
         "first_token, or objectives.attention: 0 and objectives.hidden: 0"),
        ({"student": {"init": "bilstm", "pooling": "mean"}, "objectives": {"attention": 0, "hidden": 0}},
         "student.pooling: got mean with student.init: bilstm; accepted: first_token"),
        ({"student": {"init": "bilstm"}, "distill": {"dropout": False}, "objectives": {"attention": 0, "hidden": 0}},
         "distill.dropout: got false with student.init: bilstm; accepted: true"),
        ({"student": {"init": "bilstm", "model": "bert"}},
         "student: init is bilstm and model is bert; accepted: null, or init: pretrained or encoder"),
        ({"student": {"init": "pretrained"}},
         "student: init is pretrained and model is null; accepted: a model"),
        ({"student": {"model": "bert"}},
         "student: init is teacher and model is bert; accepted: null, or init: pretrained or encoder"),
        ({"data": {"target": {"path": "t.csv", "rows": 8}, "unlabelled": {"path": "u.csv"}},
          "augment": {"method": "cbert", "samples": {"source": 0, "target": 2, "unlabelled": 3}}},
         "augment.samples.unlabelled: got 3 with augment.method: cbert, which reads labels; accepted: 0, or another "
         "method"),
        ({"teacher": {"domains": ["unlabelled"]}},
         "teacher.domains.0: got 'unlabelled'; accepted: source, target"),
        ({"augment": {"samples": {"source": 0, "target": 0, "unlabelled": 5}},
          "distill": {"originals": ["unlabelled"]}},
         "augment.samples: 0 for target, and distill.originals is ['unlabelled']; accepted: neighbours or originals of "
         "a domain that has texts"),
        ({"student": {"init": "fresh", "hidden": 100}},
         "student: hidden is 100 with 12 heads; accepted: a multiple of heads"),
    ],
)  # fmt: skip
def test_parameters_that_do_not_go_together(refuse_params, sections, said):
    assert refuse_params(**sections) == said


@pytest.mark.parametrize(
    "sections",
    [
        {"cache": {"attention": False, "hidden": False}, "objectives": {"attention": 0, "hidden": 0}},
        {"cache": {"logits": False}, "objectives": {"dark": 0}, "selector": {"kind": "none"}},
        {
            "cache": {"hidden": False},
            "objectives": {"hidden": 0},
            "selector": {"kind": "none", "representations": True},
        },
        {"task": "regression"},
        {"student": {"init": "bilstm"}, "objectives": {"attention": 0, "hidden": 0, "hard": 1, "logits": 1}},
        {"distill": {"states_first": 0.5}},
        {"distill": {"states_first": 0.99}, "objectives": {"attention": 0, "dark": 0, "hard": 1}},
        {
            "cache": {"attention": False, "hidden": False, "logits": False},
            "selector": {"kind": "none"},
            "objectives": {
                "attention": 0,
                "hidden": 0,
                "dark": 0,
                "masked_lm": 1,
                "patience": 1,
                "relations": 1,
                "scores": 1,
                "layers": 1,
            },
        },
        {"alpha": 0.001, "temperature": 1000, "objectives": {"temperature": 0.001}, "seed": 2**32 - 1},
        {"augment": {"samples": {"source": 0, "target": 0}}},
        {"selector": {"representations": True}, "objectives": {"hidden": 0}},
        {"augment": {"method": "cbert", "samples": {"source": 0, "target": 2, "unlabelled": 3}}},
        {
            "data": {"target": {"path": "t.csv", "rows": 8}, "unlabelled": {"path": "u.csv"}},
            "augment": {"samples": {"source": 0, "target": 0}},
            "distill": {"originals": ["unlabelled"]},
        },
        {"alpha": "1e-1"},
        {"augment": {"samples": {"source": 10_000, "target": 10_000}, "shards": 10_000}, "max_length": 1_000_000},
        {"distill": {"epochs": 1_000_000, "least_steps": 1_000_000}, "evaluate": {"resamples": 1_000_000}},
        {"data": {"target": {"path": "t.csv", "rows": 8, "validation": 2**31, "test": 2**31}}},
        {"generator": {"text": {"path": "t.csv", "where": {"a": 1, "b": ["x", "y"], "c": True}}, "steps": 1}},
    ],
)
def test_parameters_that_do_go_together(sections, tmp_path):
    (tmp_path / "p.yaml").write_text(to_yaml({"data": {"target": {"path": "t.csv", "rows": 8}}, **sections}))
    assert load(tmp_path / "p.yaml").data.target.rows == 8


@pytest.mark.parametrize(
    ("sections", "needs"),
    [
        ({}, {"logits": "objectives.dark", "hidden": "objectives.hidden", "attention": "objectives.attention"}),
        ({"objectives": {"dark": 0, "hidden": 0}},
         {"logits": "selector.kind", "attention": "objectives.attention"}),
        ({"objectives": {"hidden": 0, "attention": 0}, "selector": {"representations": True}},
         {"logits": "objectives.dark", "hidden": "selector.representations"}),
        ({"objectives": {"dark": 0, "attention": 0}, "selector": {"kind": "none", "representations": True}},
         {"hidden": "objectives.hidden"}),
        ({"objectives": {"dark": 0, "attention": 0, "hidden": 0, "logits": 1, "cosine": 1}},
         {"logits": "objectives.logits", "hidden": "objectives.cosine"}),
        ({"objectives": {"dark": 0, "attention": 0, "hidden": 0, "relations": 1, "layers": 1},
          "selector": {"kind": "none"}}, {}),
    ],
)  # fmt: skip
def test_what_is_read_of_the_teacher_s_cache(sections, needs):
    params = Params.model_validate({"data": {"target": {"path": "t.csv", "rows": 8}}, **sections})
    assert {kind: key for kind, (key, _) in params.cache_needs().items()} == needs


def table(tmp_path, **keys):
    """The target's table as it is read from a file with these lines."""
    lines = "".join(f", {key}: {text}" for key, text in keys.items())
    (tmp_path / "p.yaml").write_text(f"data: {{target: {{path: t.csv, rows: 8{lines}}}}}")
    return load(tmp_path / "p.yaml").data.target


@pytest.mark.parametrize(
    "label",
    ["0", "no", "yes", "on", "off", "y", "n", "12:30", "1e-5", "1e5", "010", "0o10", "1_000", "2001-01-01", "1.50",
     "0x1F", "'null'", "'~'", "'true'", "'010'", "'1e5'", "'0o10'"],
)  # fmt: skip
def test_a_label_is_the_text_as_it_is_written(label, tmp_path):
    text = label.strip("'")
    assert table(tmp_path, labels=f"{{{label}: new}}").labels == {text: "new"}
    assert table(tmp_path, labels=f"{{old: {label}}}").labels == {"old": text}


@pytest.mark.parametrize("label", ["null", "Null", "~", "true", "True", "false"])
def test_a_label_that_yaml_reads_as_another_value_needs_quotes(label, refuse):
    for labels in (f"{label}: a", f"a: {label}"):
        said = refuse(f"data: {{target: {{path: t.csv, rows: 8, labels: {{{labels}}}}}}}")
        assert re.fullmatch(r"data\.target\.labels: got .*: .*; accepted: a name, in quotes if need be", said)


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("no", "no"), ("'010'", "010"), ("12:30", "12:30"), ("2001-01-01", "2001-01-01"), ("true", True), ("3", 3),
        ("1.5", 1.5), ("010", [10, "010"]), ("1e5", [1e5, "1e5"]), ("1.0", [1.0, "1.0"]), ("1_000", [1000, "1_000"]),
        ("[no, 1, 1.50, '1.50']", ["no", 1, 1.5, "1.50"]), ("[no, 1, 1.50]", ["no", 1, 1.5, "1.50"]),
    ],
)  # fmt: skip
def test_a_filter_accepts_a_number_as_its_value_and_as_it_is_written(text, accepted, tmp_path):
    found = table(tmp_path, where=f"{{column: {text}}}")
    assert found.where == {"column": accepted}
    # Params are passed on as plain values, too.
    again = Params.model_validate({"data": {"target": found.model_dump()}})
    assert again.data.target.where == found.where


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"got nothing; accepted: a mapping of parameters"),
        ("# a comment alone\n", r"got nothing; accepted: a mapping of parameters"),
        ("- alpha\n- beta\n", r"got list; accepted: a mapping of parameters"),
        ("alpha", r"got str; accepted: a mapping of parameters"),
        ("alpha: [1\nseed: 2\n", r"not YAML: .*line 2.*"),
        ("alpha: 1\n\tseed: 2\n", r"not YAML: .*line 2.*"),
        (b"alpha: \xff\xfe", r"cannot be read: .*utf-8.*"),
        ("1: 2", r"data: missing; .*"),
        ("{data: {target: {path: t.csv, rows: 8}}, 1: 2}", r"1: got 2; accepted: .*"),
    ],
)
def test_files_that_are_no_params(refuse, text, said):
    assert re.fullmatch(said, refuse(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alpha: 2001-99-99", "alpha: got '2001-99-99'; accepted: number"),
        ("alpha: 2001-01-01", "alpha: got '2001-01-01'; accepted: number"),
        ("alpha: yes", "alpha: got 'yes'; accepted: number"),
        ("alpha: 12:30", "alpha: got '12:30'; accepted: number"),
        ("alpha: !!int foo", "not YAML: 'foo' cannot be read as int, line 1, column 8"),
        ("alpha: !!int ''", "not YAML: '' cannot be read as int, line 1, column 8"),
        ("alpha: !!bool x", "not YAML: 'x' cannot be read as bool, line 1, column 8"),
        ("alpha: !!map x", "not YAML: expected a mapping node, but found scalar, line 1, column 8"),
        ("alpha: !!map [1]", "not YAML: expected a mapping node, but found sequence, line 1, column 8"),
        ("alpha: 0x_", "not YAML: '0x_' cannot be read as int, line 1, column 8"),
        (f"seed: {'1' * 5000}", r"not YAML: '1+\.\.\.1+' cannot be read as int, line 1, column 7"),
        ("[" * 2000, "not YAML: lists or mappings are nested too deeply"),
        ("{a: " * 3000, "not YAML: lists or mappings are nested too deeply"),
        ("alpha: &a [*a]", r"alpha: got \[\[.*; accepted: number"),
        ('alpha: "\\UFFFFFFFF"', "not YAML: .*"),
        ('alpha: "\\U00110000"', "not YAML: .*"),
        ("alpha: 1\nalpha: 2", "not YAML: duplicate key alpha, line 2, column 1"),
        ("data: {target: {path: t, labels: {0: a, '0': b}}}", "not YAML: duplicate key 0, line 1, column 41"),
        ('"\\ud800": 1\n"\\ud800": 2', r"not YAML: duplicate key \\ud800, line 2, column 1"),
        ('data: {target: {path: t, labels: {"\\ud800": null}}}', r"not YAML: '\\ud800' cannot be read as str, .*"),
    ],
    ids=lambda part: part[:20],
)  # fmt: skip
def test_yaml_that_is_odd(refuse, text, said):
    line = refuse(text)
    assert re.fullmatch(said, line)
    assert len(line) < 400


@pytest.mark.parametrize("text", ["[" * 90 + "]" * 90, "&a " + "{a: *a}"])
def test_lists_in_lists(refuse, text):
    assert len(refuse(f"alpha: {text}")) < 400


def test_files_that_are_none(refuse, tmp_path):
    assert refuse(None, path=tmp_path / "gone.yaml") == "no such params file"
    (tmp_path / "folder.yaml").mkdir()
    assert refuse(None, path=tmp_path / "folder.yaml").startswith("cannot be read: ")


def sections(section=Section):
    for child in section.__subclasses__():
        yield child
        yield from sections(child)


@pytest.mark.parametrize("section", list(sections()), ids=lambda section: section.__name__)
def test_every_parameter_has_a_docstring(section):
    """A parameter that is a section is described by the section's class."""
    assert section.__doc__
    (tree,) = ast.parse(dedent(inspect.getsource(section))).body
    fields = [index for index, node in enumerate(tree.body) if isinstance(node, ast.AnnAssign)]
    assert len(fields) == len(section.__annotations__)
    for index in fields:
        field = tree.body[index]
        name = ast.unparse(field.target)
        if name != ast.unparse(field.annotation).lower().removesuffix(" | none"):
            (below,) = tree.body[index + 1 : index + 2]
            assert isinstance(below, ast.Expr), name
            assert isinstance(below.value, ast.Constant), name


def test_whole_epochs_are_the_same_params_however_they_are_written(tmp_path):
    """Their hashes name checkpoints and runs."""
    teachers = [
        check({"data": {"target": {"path": "t.csv", "rows": 8}}, "teacher": {"epochs": epochs}}, "p").teacher
        for epochs in ({"source": 1, "target": 12}, {"source": 1.0, "target": 12.0}, {"source": 0.25, "target": 12})
    ]
    written = [teacher.model_dump_json() for teacher in teachers]
    assert written[0] == written[1]
    assert '"epochs":{"source":1,"target":12}' in written[0]
    assert '"epochs":{"source":0.25,"target":12}' in written[2]
    assert str(teachers[1].model_dump()["epochs"]) == "{'source': 1, 'target': 12}"
