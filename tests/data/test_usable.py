"""Which rows of a table can be used, against a search of every pair of rows."""

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.data.leaks import normalise
from pipeline.data.usable import read_labelled, read_unlabelled
from pipeline.params.data import Table

sides = st.sampled_from(["one film", "One film!", "C++ again", "C# again", "a third text", " "])
rows = st.lists(st.tuples(sides, sides, st.sampled_from("xyz")), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Write pairs, or single texts, and return the table."""
    path = tmp_path_factory.mktemp("tables") / "table.csv"

    def write(rows, *, pairs):
        found = pd.DataFrame([("kept by itself", "as well", "x"), *rows], columns=["text", "other", "label"])
        found.to_csv(path, index=False)
        return Table.model_validate({"path": str(path), "columns": {"text_pair": "other" if pairs else None}})

    return write


@given(rows)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_text_once_with_the_label_of_most_rows(table, rows):
    usable = read_labelled(table(rows, pairs=False), "source")
    votes: dict[str, list[str]] = {}
    for text, _, label in rows:
        if text.strip():
            votes.setdefault(text.lower().strip("!"), []).append(label)
    expected = {"kept by itself": "x"}
    for text, labels in votes.items():
        most = max(labels.count(label) for label in labels)
        winners = {label for label in labels if labels.count(label) == most}
        if len(winners) == 1:
            expected[text] = winners.pop()
    found = dict(zip((text.lower().strip("!") for text in usable.frame["text"]), usable.frame["label"], strict=True))
    assert found == expected
    assert len(usable.frame) + sum(usable.dropped.values()) == usable.read == len(rows) + 1


@given(rows)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pairs_are_the_same_if_both_texts_are_in_their_order(table, rows):
    rows = [*rows, ("another", "pair", "x")]
    usable = read_unlabelled(table(rows, pairs=True), [], [("keptbyitself", "aswell")])
    seen, expected = set(), []
    for text, other, _ in rows:
        form = tuple(side.lower().strip("!") for side in (text, other))
        if all(side.strip() for side in form) and form not in seen:
            seen.add(form)
            expected.append((text, other))
    assert list(usable.rows()) == expected
    assert usable.dropped["in_train"] == 1
    assert usable.normalised(range(len(expected))) == [tuple(map(normalise, row)) for row in expected]
