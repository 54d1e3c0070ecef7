"""The refine stage, from its command line to the refined generator."""

import json

import pandas as pd
import pytest
from transformers import AutoModelForMaskedLM

from stages.refine import app


@pytest.fixture
def options(augmented, tiny_masked_lm, tmp_path_factory):
    """Options for neighbours of which the selector kept every other one."""
    ids = pd.concat([pd.read_parquet(file, columns=["id"]) for file in sorted(augmented.glob("*.parquet"))])
    pi = [float(number % 2) for number in range(len(ids))]
    selection = tmp_path_factory.mktemp("selection") / "selection.parquet"
    pd.DataFrame({"id": ids["id"], "pi": pi}).to_parquet(selection)
    return ("--selection", selection, "--augmented", augmented, "--generator", tiny_masked_lm)


REFINE = {"epochs": 5, "scale": 10.0, "learning_rate": 0.002}


def test_what_was_kept_becomes_likelier(command, options, tmp_path):
    result = command(app, *options, rounds=2, refine=REFINE)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("refine: refined on 48 neighbours of 16 texts, in rounds/2/generator")
    measured = json.loads((tmp_path / "rounds/2/refine.json").read_text())
    more, less = measured["worth_more"], measured["worth_less"]
    assert more["neighbours"] + less["neighbours"] == measured["neighbours"] == 48
    gains = [each["log_p_words_after"] - each["log_p_words_before"] for each in (more, less)]
    assert gains[0] > max(gains[1], 0)
    AutoModelForMaskedLM.from_pretrained(tmp_path / "rounds/2/generator")


def test_a_round_that_params_do_not_ask_for_is_skipped(command, options, tmp_path):
    result = command(app, *options, "--round", "3", rounds=2)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("refine: skipped: rounds is 2, ")
    assert [file.name for file in (tmp_path / "rounds/3/generator").iterdir()] == ["left_out.json"]


def test_the_selection_of_other_neighbours(command, one_line, options):
    pd.DataFrame({"id": ["x"], "pi": [0.5]}).to_parquet(options[1])
    message = one_line(command(app, *options, rounds=2))
    assert message.startswith("refine: ")
    assert "selection.parquet: made for other neighbours than those in " in message


def test_too_high_a_rate(command, one_line, options):
    message = one_line(
        command(app, *options, rounds=2, refine={**REFINE, "epochs": 1, "batch_size": 48, "learning_rate": 1e30})
    )
    assert "refine.learning_rate: got 1e+30, with which the loss is not finite; accepted: a lower one" in message


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"pi": "much"},
            "selection.parquet, column 'pi': got large_string; accepted: float; run the distill stage again",
        ),
        ({"pi": None}, "selection.parquet, column 'pi': 96 without a value; run the distill stage again"),
    ],
)
def test_a_selection_that_was_edited(command, one_line, options, columns, message):
    pd.read_parquet(options[1]).assign(**columns).to_parquet(options[1])
    assert message in one_line(command(app, *options, rounds=2))


def test_the_first_round_has_none_before_it(command, one_line):
    line = one_line(command(app, "--round", "1"))
    assert line == "refine: --round: got 1; accepted: 2 or more, the first round has no previous one\n"
