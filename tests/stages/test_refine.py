"""The refine stage, from its command line to a generator that has learnt."""

import json

import pandas as pd
import pytest
from transformers import AutoModelForMaskedLM

from stages.refine import app


@pytest.fixture
def places(augmented, tiny_masked_lm, tmp_path_factory):
    """Of each two neighbours the selector kept one."""
    ids = pd.concat([pd.read_parquet(file, columns=["id"]) for file in sorted(augmented.glob("*.parquet"))])
    pi = [float(number % 2) for number in range(len(ids))]
    selection = tmp_path_factory.mktemp("judged") / "selection.parquet"
    pd.DataFrame({"id": ids["id"], "pi": pi}).to_parquet(selection)
    return ("--selection", selection, "--augmented", augmented, "--generator", tiny_masked_lm)


REFINE = {"epochs": 5, "scale": 10.0, "learning_rate": 0.002}


def test_what_was_kept_becomes_likelier(command, places, tmp_path):
    result = command(app, *places, rounds=2, refine=REFINE)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("refine: refined on 48 neighbours of 16 texts, in rounds/2/generator")
    measured = json.loads((tmp_path / "rounds/2/refine.json").read_text())
    more, less = measured["worth_more"], measured["worth_less"]
    assert more["neighbours"] + less["neighbours"] == measured["neighbours"] == 48
    gains = [each["log_p_words_after"] - each["log_p_words_before"] for each in (more, less)]
    assert gains[0] > max(gains[1], 0)
    AutoModelForMaskedLM.from_pretrained(tmp_path / "rounds/2/generator")


def test_a_round_that_is_not_asked_for_leaves_nothing(command, places, tmp_path):
    result = command(app, *places, "--round", "3", rounds=2)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("refine: nothing, for rounds is 2, ")
    assert [file.name for file in (tmp_path / "rounds/2/generator").iterdir()] == ["left_out.json"]


def test_the_selection_of_other_neighbours(command, one_line, places):
    pd.DataFrame({"id": ["x"], "pi": [0.5]}).to_parquet(places[1])
    said = one_line(command(app, *places, rounds=2))
    assert said.startswith("refine: ")
    assert "selection.parquet: not of the neighbours in " in said


def test_too_high_a_rate(command, one_line, places):
    said = one_line(
        command(app, *places, rounds=2, refine={**REFINE, "epochs": 1, "batch_size": 48, "learning_rate": 1e30})
    )
    assert "refine.learning_rate: got 1e+30, with which the generator gives no numbers any more" in said


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"pi": "much"},
            "selection.parquet, column 'pi': got large_string; accepted: float; run the distill stage again",
        ),
        ({"pi": None}, "selection.parquet, column 'pi': 96 without a value; run the distill stage again"),
    ],
)
def test_a_selection_that_was_edited(command, one_line, places, columns, said):
    pd.read_parquet(places[1]).assign(**columns).to_parquet(places[1])
    assert said in one_line(command(app, *places, rounds=2))
