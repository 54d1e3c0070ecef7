"""Values of a params file are replaced in its text, and nothing else changes."""

import pytest
from helpers.tiny_project import ROOT

from pipeline.errors import InputError
from pipeline.params.edit import COLUMN, Value, overlay_preset, replace_header, replace_values
from pipeline.params.overlay import merge
from pipeline.params.yaml12 import parse

TEXT = """# about
seed: 1
alpha: 1.0                  # how far
data:
  source:
    path: a.csv             # theirs
  target: {path: b.csv}

# models
teacher:
  model: small  # quick
  domains: [source,
    target] # both
last:
  one: 1
"""


def test_a_value_alone_changes():
    assert replace_values(TEXT, {"seed": Value("22")}, "p").splitlines()[1] == "seed: 22"
    assert (
        replace_values(TEXT, {"alpha": Value("0.25")}, "p").splitlines()[2] == "alpha: 0.25                 # how far"
    )
    assert replace_values(TEXT, {"alpha": Value("1.0")}, "p") == TEXT


def test_a_long_value_moves_its_comment():
    text = replace_values(TEXT, {"teacher.model": Value("package:somewhere/else")}, "p")
    assert "  model: package:somewhere/else # quick\n" in text


def test_a_comment_of_its_own():
    text = replace_values(TEXT, {"seed": Value("2", "new"), "alpha": Value("1.0", "other")}, "p").splitlines()
    assert text[1] == "seed: 2 ".ljust(COLUMN) + "# new"
    assert text[2] == "alpha: 1.0                  # other"


def test_a_section_is_replaced_whole_and_what_follows_stays():
    text = replace_values(TEXT, {"data": Value("\n  target: {path: c.csv}"), "last": Value("\n  two: 2")}, "p")
    assert text == TEXT.partition("data:")[0] + "data:\n  target: {path: c.csv}\n\n# models" + (
        TEXT.partition("# models")[2].replace("one: 1", "two: 2")
    )


def test_a_value_on_two_lines():
    text = replace_values(TEXT, {"teacher.domains": Value("[target]")}, "p")
    assert parse(text)["teacher"] == {"model": "small", "domains": ["target"]}
    assert text.count("# both") == 1


def test_a_value_of_nothing_as_dvc_writes_null():
    text = "augment:\n  keep:                     # never change\n  shards: 8\n  side:\n"
    changed = replace_values(text, {"augment.keep": Value("'<e1>'"), "augment.side": Value("both")}, "p")
    assert changed == "augment:\n  keep: '<e1>'              # never change\n  shards: 8\n  side: both\n"


def test_many_at_once():
    values = {"last.one": Value("3"), "seed": Value("4"), "data.source": Value("null"), "teacher.model": Value("m")}
    found = parse(replace_values(TEXT, values, "p"))
    assert (found["last"], found["seed"], found["data"]["source"]) == ({"one": 3}, 4, None)
    assert found["data"]["target"] == {"path": "b.csv"}


@pytest.mark.parametrize("key", ["none", "teacher.none", "seed.none"])
def test_a_key_that_is_not_there(key):
    with pytest.raises(InputError, match=f"^p: no {key}; accepted: a file with every key"):
        replace_values(TEXT, {key: Value("1")}, "p")


def test_a_header_takes_the_place_of_the_first_comments():
    assert replace_header(TEXT, "one\ntwo") == "# one\n# two\n" + TEXT.partition("# about\n")[2]


def test_the_projects_own_file_stays_what_it_is():
    text = (ROOT / "params.yaml").read_text()
    params = parse(text)
    values = {"task": Value(params["task"]), "teacher.model": Value(params["teacher"]["model"])}
    assert replace_values(text, values, "p") == text


PRESET = """# another
alpha: 0.5                  # near
data:
  source:
    path: d.csv             # others
    labels: {0: a}

teacher:
  domains: [target]
last: {one: 2}
"""


def test_a_preset_is_laid_over_the_text_with_its_comments():
    assert (
        overlay_preset(TEXT, PRESET, "p")
        == """# about
seed: 1
alpha: 0.5                  # near
data:
  source:
    path: d.csv             # others
    labels: {0: a}
  target: {path: b.csv}

# models
teacher:
  model: small  # quick
  domains: [target]             # both
last: {one: 2}
"""
    )


@pytest.mark.parametrize(
    "preset",
    [
        PRESET,
        "data: {target: {rows: 3}}",
        "data: {source: {path: e.csv}, target: {path: f.csv}}",
        "data:\n  target:\n    rows: 3\n",
        "data:\n target:\n  path: c.csv\n  # why\n  where:\n   a: 1\n",
        "data:\n      source:\n            path: c.csv\n\n            where:\n            - a: 1\n",
        "last:\n - 1\n - 2\n",
        "last:\n- 1\n- 2\n",
        "data:\n  target:\n    path: c.csv\n    rows: 3\n",
        "data:\n  source:\n    path: null\nlast:\n  one:\n  - x: 1\n",
        "data:\n  source: null\n",
        "data: null",
        "seed: 010\nlast: {one: '010', two: 1.50}\n",
    ],
)
def test_the_text_with_a_preset_holds_what_merging_gives(preset):
    merged = parse(overlay_preset(TEXT, preset, "p"))
    assert merged == merge(parse(TEXT), parse(preset))


def test_a_preset_with_a_section_that_is_not_there():
    with pytest.raises(InputError, match=r"^p: no rounds; accepted: a file with every key"):
        overlay_preset(TEXT, "rounds: 2", "p")


@pytest.mark.parametrize("preset", sorted((ROOT / "presets").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_becomes_a_whole_file_once_and_for_all(preset):
    base, overlay = (ROOT / "params.yaml").read_text(), preset.read_text()
    text = overlay_preset(base, overlay, "p")
    assert parse(text) == merge(parse(base), parse(overlay))
    assert overlay_preset(text, overlay, "p") == text
    # Each section keeps its place, and each key its line.
    assert [line.split(":")[0] for line in text.splitlines() if line[:1].isalpha()] == list(parse(base))
