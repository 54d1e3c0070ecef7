"""Rows for another program."""

import json

from helpers.hand_made import neighbour

from pipeline.storage.json_lines import as_json, print_json

HOSTILE = "\x1b[31mred\x1b]0;title\x07 \x9b2J a\rb\nc\x00 \u202eback [bold]no[/bold] :smile:"


def test_json_is_one_line_that_any_program_reads(capsys):
    print_json(neighbour(text=HOSTILE, log_p=float("-inf")) | {"teacher": {"class": "x", "probability": float("nan")}})
    out = capsys.readouterr().out
    assert out.isascii()
    assert [character for character in out if ord(character) < 32] == ["\n"]
    assert json.loads(out)["text"] == HOSTILE
    assert json.loads(out)["log_p"] is None
    assert json.loads(out)["teacher"] == {"class": "x", "probability": None}


def test_values_within_values_stay_as_they_are():
    line = '{"text": "a", "tree": ' + "[" * 800 + "]" * 800 + "}"
    assert as_json(json.loads(line)) == f"{line}\n"
