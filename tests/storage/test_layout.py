"""Where the files of a round are, in code and in dvc.yaml."""

from pathlib import Path

import pytest
import yaml

from pipeline.params.schema import LAST_ROUND
from pipeline.storage.layout import Layout

PATHS = [name for name, value in vars(Layout).items() if isinstance(value, property)]
ITEMS = yaml.safe_load(Path(__file__).parents[2].joinpath("dvc.yaml").read_text(encoding="utf-8"))["stages"]


def test_the_first_round_is_in_the_project_s_folders_and_later_ones_in_their_own():
    assert [str(getattr(Layout(), name)) for name in PATHS] == [
        "models/generator",
        "metrics/generator.json",
        "data/augmented",
        "data/teacher",
        "models/student",
        "models/projection_and_policy.safetensors",
        "data/selection.parquet",
        "dvclive",
    ]
    assert [getattr(Layout(3), name).parent for name in PATHS] == [Path("rounds/3")] * len(PATHS)


@pytest.mark.parametrize("number", range(1, LAST_ROUND + 1))
def test_dvc_has_the_same_places(number):
    item, layout = ITEMS["distill"]["foreach"][number], Layout(number)
    assert Path(item["generator"]) == layout.generator
    assert Path(item["data"], "augmented") == layout.augmented
    assert Path(item["data"], "teacher") == layout.teacher_cache
    outs = [
        Path(out.replace("${item.models}", item["models"]).replace("${item.data}", item["data"]))
        for out in ITEMS["distill"]["do"]["outs"][:-1]
    ]
    assert outs == [layout.student, layout.projection_and_policy, layout.selection]
    assert Path(item["curves"]) == layout.curves
    if number > 1:
        earlier = Layout(number - 1)
        assert item["earlier"] == {
            "student": str(earlier.student),
            "projection_and_policy": str(earlier.projection_and_policy),
        }
        assert ITEMS["refine"]["foreach"][number] == ITEMS["distill"]["foreach"][number - 1]
