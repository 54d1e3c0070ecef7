"""The generator stage, from its command line to a folder that transformers opens."""

import json

import pytest
import transformers
from typer.testing import CliRunner

from stages.generator import app

SENTENCES = "text\n" + "".join(
    f"the {noun} is very {kind} .\n" for noun in ("film", "cast") for kind in ("good", "bad")
)


def test_a_masked_language_model_is_published(command, tiny_masked_lm, tmp_path):
    (tmp_path / "heldout.csv").write_text(SENTENCES)
    generator = {"model": str(tiny_masked_lm), "heldout": {"path": "heldout.csv"}}
    result = command(app, generator=generator)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert result.stdout.startswith("generator: 0.0M parameters, 0 steps, 0.")
    assert result.stdout.count("\n") == 1
    assert result.stdout.endswith(" s\n")
    assert json.loads((tmp_path / "metrics/generator.json").read_text())["heldout_texts"] == 4
    fill = transformers.pipeline("fill-mask", str(tmp_path / "models/generator"), device="cpu")
    assert len(fill("the film is [MASK] !")) == 5


def test_a_head_is_trained_and_kept(command, tiny_encoder, tmp_path):
    (tmp_path / "text.csv").write_text(SENTENCES)
    generator = {"model": str(tiny_encoder), "steps": 3, "rank": 2, "batch_size": 2, "text": {"path": "text.csv"}}
    options = ("--out", "out", "--metrics", "m.json", "--adapter", "kept/adapter.safetensors")
    result = command(app, *options, generator=generator)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert (tmp_path / "kept/adapter.safetensors").stat().st_size > 1000
    assert json.loads((tmp_path / "m.json").read_text())["trained_steps"] == 3
    assert (tmp_path / "out/config.json").is_file()


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ({"steps": -1}, "generator: params.yaml: generator.steps: got -1; accepted: "),
        ({"model": "no/such/model/here"}, "generator: generator.model: no such model folder: no/such/model/here\n"),
        ({}, "generator: generator.model: {encoder} has no masked-LM head; accepted: "),
        ({"adapter": "none"}, "generator: generator.adapter: no such adapter file: none\n"),
        ({"heldout": {"path": "none.csv"}}, "generator: generator.heldout.path: no such file: none.csv"),
    ],
)
def test_an_error_is_one_line_and_leaves_nothing(command, one_line, tiny_encoder, tiny_masked_lm, generator, message):
    model = tiny_masked_lm if "heldout" in generator else tiny_encoder
    result = command(app, generator={"model": str(model), **generator})
    assert one_line(result).startswith(message.format(encoder=tiny_encoder))


def test_help():
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "--adapter" in result.output
