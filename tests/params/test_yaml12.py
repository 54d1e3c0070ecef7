"""What is read as YAML 1.2 is what DVC reads, and stays the same when DVC or we write it."""

from datetime import date
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import load_yaml
from helpers.tiny_project import ROOT

from pipeline.errors import InputError
from pipeline.params.file import load
from pipeline.params.yaml12 import WrittenFloat, WrittenInt, inline, parse, read_yaml, to_yaml

TEXTS = [
    "no", "yes", "on", "off", "y", "n", "null", "~", "Null", "12:30", "1e-5", "1e5", "010", "0o10", "1_000",
    "2001-01-01", "1.0", "0x1F", ".inf", "true", "+1", "", "=", "<<", "a: b", "# no", "it's", "ü 😀",
]  # fmt: skip
"""Texts that some reader or other of YAML takes for something else."""


@pytest.mark.parametrize("value", [*TEXTS, "two\nlines", ["1", "x, y"], {"a\nb": "no"}, 1, 1.5, True, None, 1e-5])
def test_any_value_comes_back(value):
    line = inline(value)
    assert "\n" not in line
    for text in (f"key: {line}  # comment", to_yaml({"key": value})):
        found = parse(text)["key"]
        assert found == value
        assert isinstance(found, type(value))


def test_plain_names_have_no_quotes():
    assert inline("package:module/model") == "package:module/model"
    assert inline({"text": "message"}) == "{text: message}"
    assert to_yaml({"b": {"no": ["yes"]}, "a": 1}) == "b:\n  no:\n  - yes\na: 1\n"


def test_numbers_keep_how_they_are_written():
    values = parse("{a: 010, b: 1.0e-4, c: 7, d: 0.5}")
    assert values == {"a": 10, "b": 1e-4, "c": 7, "d": 0.5}
    assert [type(value) for value in values.values()] == [WrittenInt, WrittenFloat, int, WrittenFloat]
    assert to_yaml(values) == "a: 010\nb: 1.0e-4\nc: 7\nd: 0.5\n"
    assert inline(values) == "{a: 010, b: 1.0e-4, c: 7, d: 0.5}"


def test_it_reads_what_dvc_reads(tmp_path):
    for path in [ROOT / "params.yaml", ROOT / "dvc.yaml", *(ROOT / "presets").glob("*.yaml")]:
        assert read_yaml(path) == load_yaml(path)
    (tmp_path / "dates.yaml").write_text("day: 2001-01-01")
    assert load_yaml(tmp_path / "dates.yaml") == {"day": date(2001, 1, 1)}
    assert read_yaml(tmp_path / "dates.yaml") == {"day": "2001-01-01"}


def test_where_it_is_not_yaml(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("a: 1\nb: [1\nc: 2\n")
    with pytest.raises(InputError, match=r"p\.yaml: not YAML: while parsing a flow sequence .*, line 3, column 2$"):
        read_yaml(path)
    path.write_text("a: 1\n---\nb: 2\n")
    with pytest.raises(InputError, match=r"not YAML: expected a single document .* another .*, line 2, column 1$"):
        read_yaml(path)
    with pytest.raises(FileNotFoundError):
        read_yaml(tmp_path / "none.yaml")


def target(path: Path, text: str, *, changed: bool) -> tuple[dict, dict]:
    """Labels and filters of a params file that has them in this text, before or after `dvc exp run -S`."""
    path.write_text(
        "alpha: 1.0   # how far\n"
        "data:\n"
        "  target:\n"
        "    path: t.csv\n"
        "    rows: 8\n"
        f"    labels: {{{text}: 'old', 'new': {text}}}\n"
        f"    where: {{column: {text}, other: [{text}, 'else']}}\n"
    )
    if changed:
        apply_overrides(path, ["alpha=0.8"])
    params = load(path)
    assert params.alpha == (0.8 if changed else 1.0)
    return params.data.target.labels, params.data.target.where


@pytest.mark.parametrize("text", TEXTS)
def test_what_stands_in_quotes_stays_a_text_when_dvc_changes_another_parameter(text, tmp_path):
    quoted = "'{}'".format(text.replace("'", "''"))
    expected = ({text: "old", "new": text}, {"column": text, "other": [text, "else"]})
    assert target(tmp_path / "params.yaml", quoted, changed=False) == expected
    assert target(tmp_path / "params.yaml", quoted, changed=True) == expected


@pytest.mark.parametrize(
    "text",
    ["no", "yes", "on", "off", "y", "n", "12:30", "1e-5", "1e5", "010", "0o10", "1_000", "0", "7", "1.0", "1.50",
     "00123", "0x1F", "-1", "-0.5"],
)  # fmt: skip
def test_what_has_no_quotes_stays_what_it_is_when_dvc_changes_another_parameter(text, tmp_path):
    before, after = (target(tmp_path / "params.yaml", text, changed=changed) for changed in (False, True))
    assert before == after
    assert before[0] == {text: "old", "new": text}


def test_an_anchor_may_be_set_again(tmp_path):
    """That is YAML, and no warning."""
    path = tmp_path / "params.yaml"
    path.write_text("a: &x 1\nb: *x\nc: &x 2\nd: *x\n")
    assert read_yaml(path) == {"a": 1, "b": 1, "c": 2, "d": 2}
