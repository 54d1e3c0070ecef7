"""Training curves: which are drawn, and how long ones are shortened."""

import pytest
from helpers.finished_run import curve

from pipeline.errors import InputError
from pipeline.report.curves import curves, thinned


def test_curves_that_were_switched_off_are_left_out(run):
    drawn = [str(chart) for chart in curves(run / "dvclive", "accuracy")]
    titles = [chart.split("<strong>")[1].split("</strong>")[0] for chart in drawn]
    assert titles == [
        "The student on the validation set",
        "Share kept by the selector, by domain",
        "Loss: dark, not weighted",
    ]
    assert "Each point is the mean of 2 steps." in drawn[0]
    assert ">accuracy<" in drawn[0]
    assert all(f">{domain}<" in drawn[1] for domain in ("source", "target"))


def test_a_point_that_is_nan_is_not_drawn(run):
    curve(run, "validation/metric", [(1, float("nan")), (2, 0.25), (3, 0.75)])
    chart = str(curves(run / "dvclive", "accuracy")[0])
    assert "0.25 at 2, 0.75 at 3" in chart
    assert "nan" not in chart


def test_thinned():
    points = [(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]
    assert thinned(points, 2) == [(1.5, 15), (3.5, 35), (5, 50)]
    assert thinned(points, 1) == points


@pytest.mark.parametrize("content", ["step\tmetric\n1\tmany\n", "step\tmetric\n1\n", b"step\t\xff\n"])
def test_a_damaged_curve(run, content):
    file = run / "dvclive/plots/metrics/validation/metric.tsv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=r"metric\.tsv: damaged.*; run the distill stage again$"):
        curves(run / "dvclive", "accuracy")
