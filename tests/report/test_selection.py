"""What was kept: shares, and the neighbours at both ends."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from finished_run import lay

from pipeline.errors import InputError
from pipeline.report.selection import EXAMPLES, read_selection


def read(run):
    return read_selection(run / "data/selection.parquet", run / "data/augmented")


def test_shares(run):
    found = read(run)
    assert [(share.of, share.neighbours, share.kept) for share in found.domains] == [
        ("source texts", 10, 9),
        ("target texts", 10, 10),
    ]
    assert [(share.of, share.neighbours, share.kept) for share in found.distances] == [
        ("1", 7, 6),
        ("2", 7, 7),
        ("3", 6, 6),
    ]
    assert found.domains[0].share == 0.9
    assert found.spread == pytest.approx(0.19)
    assert len(found.charts) == 2


def test_examples_from_both_ends(run):
    found = read(run)
    ends = [f"target-000000-{sample:03d}" for sample in range(20)]
    assert [example.id for example in found.lowest] == ends[:EXAMPLES]
    assert [example.id for example in found.highest] == ends[: -EXAMPLES - 1 : -1]
    assert not found.lowest[0].kept
    assert found.lowest[0].changes == '<p dir="auto">the fine <del>two</del> <ins>one</ins> 0</p>'


def test_where_all_are_alike_there_are_no_ends(tmp_path):
    found = read(lay(tmp_path / "run", kind="random"))
    assert (found.highest, found.lowest, len(found.charts)) == ([], [], 1)


def test_a_way_to_augment_without_distances(run):
    for file in (run / "data/augmented").iterdir():
        table = pq.read_table(file)
        none = pa.nulls(len(table), pa.int32())
        pq.write_table(table.set_column(table.schema.get_field_index("distance"), "distance", none), file)
    found = read(run)
    assert found.distances == []
    assert [share.neighbours for share in found.domains] == [10, 10]


def test_no_neighbours(run):
    file = run / "data/selection.parquet"
    pq.write_table(pq.read_table(file)[:0], file)
    assert read(run) is None


def test_neighbours_of_another_run(run):
    for file in (run / "data/augmented").iterdir():
        table = pq.read_table(file)
        pq.write_table(table.filter(pc.not_equal(table["id"], "target-000000-007")), file)
    with pytest.raises(InputError, match=r"neighbour 'target-000000-007' is not in .*; run the distill stage again$"):
        read(run)
