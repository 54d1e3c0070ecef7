"""The augment stage, from its command line to shards that anyone can open."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from stages.augment import app


@pytest.fixture
def places(uneven, tiny_masked_lm):
    return ("--prepared", uneven, "--generator", tiny_masked_lm)


def test_shards_of_all_domains(command, places, tmp_path):
    result = command(app, *places)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    said, seconds = result.stdout.rsplit(", ", 1)
    assert said == (
        "augment: 96 neighbours of 64 texts in 6 shards (0 not distinct, 0 texts too short), in data/augmented"
    )
    assert seconds.endswith(" s\n")
    shards = sorted(path.name for path in (tmp_path / "data/augmented").glob("*.parquet"))
    domains = ("source", "target", "unlabelled")
    assert shards == [f"{domain}-0000{n}-of-00002.parquet" for domain in domains for n in (0, 1)]
    frame = pd.concat(pd.read_parquet(shard) for shard in (tmp_path / "data/augmented").glob("*.parquet"))
    assert frame.groupby("domain")["original_id"].nunique().to_dict() == {"source": 48, "target": 16}
    assert (frame["text"] != frame["original_text"]).all()


def test_no_neighbours_are_shards_too(command, places, tmp_path):
    result = command(app, *places, augment={"samples": {"source": 0, "target": 0}, "shards": 2})
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("augment: 0 neighbours of 0 texts in 6 shards ")
    assert [len(pd.read_parquet(shard)) for shard in (tmp_path / "data/augmented").glob("*.parquet")] == [0] * 6


def test_the_same_again_is_the_same(command, places, tmp_path):
    for name in ("one", "other"):
        assert command(app, *places, "--out", name).exit_code == 0
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "other"))
    assert one == other


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"alpha": 0}, "augment: params.yaml: alpha: got 0; accepted: greater than or equal to 0.001\n"),
        (
            {"augment": {"fill": "paralel"}},
            "augment: params.yaml: augment.fill: got 'paralel'; accepted: parallel, seq",
        ),
        (
            {"augment": {"samples": {"source": 0, "target": -1}}},
            "augment: params.yaml: augment.samples.target: got -1; accepted: greater than or equal to 0\n",
        ),
        ({"max_length": 65}, "augment: max_length: got 65, but the generator takes 64 tokens; accepted: 8 to 64\n"),
    ],
)
def test_an_error_is_one_line_and_leaves_nothing(command, one_line, places, section, said):
    assert one_line(command(app, *places, **section)).startswith(said)


def test_no_texts_and_no_generator(command, one_line, places):
    assert "nowhere/source.parquet: no such file; run the prepare stage first" in one_line(
        command(app, *places, "--prepared", "nowhere")
    )
    assert "no such model folder: nowhere" in one_line(command(app, *places, "--generator", "nowhere"))


def test_help():
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "--generator" in result.output
