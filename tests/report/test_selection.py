"""What was kept: shares, and examples of what was kept and dropped."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from helpers.finished_run import write_run

from pipeline.errors import InputError
from pipeline.report.selection import EXAMPLES, read_selection


def read(run):
    return read_selection(run / "data/selection.parquet", run / "data/augmented")


def test_shares(run):
    found = read(run)
    assert [(group.name, group.texts, group.kept) for group in found.domains] == [
        ("source texts", 10, 9),
        ("target texts", 10, 10),
    ]
    assert [(group.name, group.texts, group.kept) for group in found.distances] == [
        ("1", 7, 6),
        ("2", 7, 7),
        ("3", 6, 6),
    ]
    assert found.domains[0].share == 0.9
    assert found.spread == pytest.approx(0.19)
    assert len(found.charts) == 2


def keep(run, kept):
    """Let the run have kept these of its twenty neighbours."""
    file = run / "data/selection.parquet"
    table = pq.read_table(file)
    chosen = pa.array([sample in kept for sample in range(20)])
    pq.write_table(table.set_column(table.schema.get_field_index("kept"), "kept", chosen), file)


def examples(run):
    """Numbers of the neighbours that are shown as kept and as dropped."""
    found = read(run)
    return [[int(example.id[-3:]) for example in side] for side in (found.kept, found.dropped)]


def test_examples_of_both(run):
    assert examples(run) == [[19, 18, 17, 16, 15, 14], [0]]
    assert read(run).dropped[0].changes == '<p dir="auto">the fine <del>two</del> <ins>one</ins> 0</p>'


def test_a_pair_is_two_paragraphs(run):
    changed = {"old_words": ["a"], "new_words": ["the"], "text_pair": "a man , the plan"}
    changed |= {"original_text_pair": "a man , a plan", "text": "fine", "original_text": "fine"}
    changed |= {"old_spans": [{"side": 1, "start": 8, "end": 9}], "new_spans": [{"side": 1, "start": 8, "end": 11}]}
    for file in (run / "data/augmented").iterdir():
        table = pq.read_table(file)
        pq.write_table(pa.Table.from_pylist([row | changed for row in table.to_pylist()], table.schema), file)
    assert read(run).dropped[0].changes == (
        '<p dir="auto">fine</p><p dir="auto">a man , <del>a</del> <ins>the</ins> plan</p>'
    )


def test_neighbours_at_both_ends_of_pi_may_be_kept(run):
    keep(run, {*range(EXAMPLES), *range(20 - EXAMPLES, 20)})
    assert examples(run) == [[19, 18, 17, 16, 15, 14], [6, 7, 8, 9, 10, 11]]
    keep(run, {2, 5, 11})
    assert examples(run) == [[11, 5, 2], [0, 1, 3, 4, 6, 7]]


def test_all_or_none_may_be_kept(run):
    keep(run, range(20))
    assert examples(run)[1] == []
    keep(run, ())
    assert examples(run) == [[], [0, 1, 2, 3, 4, 5]]


def test_where_all_pi_are_alike_there_are_both_still(tmp_path):
    run = write_run(tmp_path / "run", kind="random")
    assert len(read(run).charts) == 1
    keep(run, {3, 19, 5})
    assert examples(run) == [[3, 5, 19], [0, 1, 2, 4, 6, 7]]


def test_a_way_to_augment_without_distances(run):
    for file in (run / "data/augmented").iterdir():
        table = pq.read_table(file)
        none = pa.nulls(len(table), pa.int32())
        pq.write_table(table.set_column(table.schema.get_field_index("distance"), "distance", none), file)
    found = read(run)
    assert found.distances == []
    assert [group.texts for group in found.domains] == [10, 10]


def test_no_neighbours(run):
    for file in (run / "data/selection.parquet", *(run / "data/augmented").iterdir()):
        pq.write_table(pq.read_table(file)[:0], file)
    assert read(run) is None


def add_originals(run):
    """Let the selector have decided on two originals of the source and one text without a label, too."""
    file = run / "data/selection.parquet"
    table = pq.read_table(file)
    originals = {
        "id": ["source-000001", "source-000002.03", "unlabelled-000007"],
        "domain": ["source", "source", "unlabelled"],
        "pi": pa.array([0.25, 0.75, 0.5], pa.float32()),
        "kept": [False, True, True],
    }
    pq.write_table(pa.concat_tables([table, pa.table(originals)]), file)


def test_originals_are_a_table_of_their_own(run):
    before = read(run)
    add_originals(run)
    found = read(run)
    assert [(group.name, group.texts, group.kept, group.lowest) for group in found.originals] == [
        ("source texts", 2, 1, 0.25),
        ("unlabelled texts", 1, 1, 0.5),
    ]
    assert (found.domains, found.distances, found.kept) == (before.domains, before.distances, before.kept)
    assert before.originals == []
    assert found.spread == pytest.approx(0.5)


def test_originals_without_neighbours(run):
    add_originals(run)
    file = run / "data/selection.parquet"
    pq.write_table(pq.read_table(file)[20:], file)
    for shard in (run / "data/augmented").iterdir():
        pq.write_table(pq.read_table(shard)[:0], shard)
    found = read(run)
    assert [group.texts for group in found.originals] == [2, 1]
    assert (found.domains, found.distances, found.charts, found.kept, found.dropped) == ([], [], [], [], [])


def test_neighbours_of_another_run(run):
    file = run / "data/selection.parquet"
    table = pq.read_table(file)
    pq.write_table(table.filter(pc.not_equal(table["id"], "target-000000-007")), file)
    with pytest.raises(InputError, match=r"selection\.parquet: made for other neighbours than those in "):
        read(run)
