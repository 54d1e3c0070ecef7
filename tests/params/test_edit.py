"""Values of a params file are replaced where they stand, and nothing else is."""

import pytest
import yaml
from helpers.tiny_project import ROOT

from pipeline.errors import InputError
from pipeline.params.edit import COLUMN, Value, headed, inline, replaced

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
    assert replaced(TEXT, {"seed": Value("22")}, "p").splitlines()[1] == "seed: 22"
    assert replaced(TEXT, {"alpha": Value("0.25")}, "p").splitlines()[2] == "alpha: 0.25                 # how far"
    assert replaced(TEXT, {"alpha": Value("1.0")}, "p") == TEXT


def test_a_long_value_moves_its_comment():
    text = replaced(TEXT, {"teacher.model": Value("package:somewhere/else")}, "p")
    assert "  model: package:somewhere/else # quick\n" in text


def test_a_comment_of_its_own():
    text = replaced(TEXT, {"seed": Value("2", "new"), "alpha": Value("1.0", "other")}, "p").splitlines()
    assert text[1] == "seed: 2 ".ljust(COLUMN) + "# new"
    assert text[2] == "alpha: 1.0                  # other"


def test_a_section_is_replaced_whole_and_what_follows_stays():
    text = replaced(TEXT, {"data": Value("\n  target: {path: c.csv}"), "last": Value("\n  two: 2")}, "p")
    assert text == TEXT.partition("data:")[0] + "data:\n  target: {path: c.csv}\n\n# models" + (
        TEXT.partition("# models")[2].replace("one: 1", "two: 2")
    )


def test_a_value_on_two_lines():
    text = replaced(TEXT, {"teacher.domains": Value("[target]")}, "p")
    assert yaml.safe_load(text)["teacher"] == {"model": "small", "domains": ["target"]}
    assert text.count("# both") == 1


def test_many_at_once():
    values = {"last.one": Value("3"), "seed": Value("4"), "data.source": Value("null"), "teacher.model": Value("m")}
    found = yaml.safe_load(replaced(TEXT, values, "p"))
    assert (found["last"], found["seed"], found["data"]["source"]) == ({"one": 3}, 4, None)
    assert found["data"]["target"] == {"path": "b.csv"}


@pytest.mark.parametrize("key", ["none", "teacher.none", "seed.none"])
def test_a_key_that_is_not_there(key):
    with pytest.raises(InputError, match=f"^p: no {key}; accepted: a file with every key"):
        replaced(TEXT, {key: Value("1")}, "p")


@pytest.mark.parametrize(
    "value", ["yes", "0", "null", "a: b", "# no", "it's", "two\nlines", "", "ü 😀", ["1", "x, y"], {"a\nb": "no"}]
)
def test_any_value_comes_back(value):
    line = inline(value)
    assert "\n" not in line
    assert yaml.safe_load(f"key: {line}  # said")["key"] == value


def test_plain_names_have_no_quotes():
    assert inline("package:module/model") == "package:module/model"
    assert inline({"text": "message"}) == "{text: message}"


def test_a_header_takes_the_place_of_the_first_comments():
    assert headed(TEXT, "one\ntwo") == "# one\n# two\n" + TEXT.partition("# about\n")[2]


def test_the_projects_own_file_stays_what_it_is():
    text = (ROOT / "params.yaml").read_text()
    given = yaml.safe_load(text)
    values = {"task": Value(given["task"]), "teacher.model": Value(given["teacher"]["model"])}
    assert replaced(text, values, "p") == text
