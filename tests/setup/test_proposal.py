"""What is seen in tables: columns, task, labels and sizes, each of which `prepare` takes as proposed."""

import csv
import json
from pathlib import Path

import pytest

from pipeline.data.prepare import prepare
from pipeline.errors import InputError
from pipeline.params.schema import Params
from pipeline.setup.column import Column, columns_of, read_section
from pipeline.setup.columns import group_columns, label_column, text_columns
from pipeline.setup.proposal import propose

SUPPORT = Path(__file__).parents[2] / "data/examples/support.csv"
WORDS = ["parcel", "refund", "password", "courier", "invoice", "screen", "label", "card", "update", "address"]


def never(question, answers):
    pytest.fail(f"asked: {question} {answers}")


@pytest.fixture
def asked():
    """What was asked; the first answer is taken, or the one that `takes` says."""

    class Asked(list):
        takes = 0

        def __call__(self, question, answers):
            self.append((question, list(answers)))
            return self.takes

    return Asked()


def message(row):
    return f"my {WORDS[row % 10]} number {row} is gone and nobody has told me why"


def table(path, rows, header=("text", "label")):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def prepared(proposal, tmp_path):
    """The metrics of `prepare` run on what is proposed."""
    params = Params.model_validate(
        {
            "task": proposal.task,
            "data": {
                "target": proposal.target.data,
                "source": proposal.source and proposal.source.data,
                "unlabelled": proposal.unlabelled,
            },
            "teacher": {"domains": proposal.teacher_domains, "epochs": proposal.epochs(deep=False)},
            "augment": {"samples": proposal.samples},
        }
    )
    prepare(params, out=tmp_path / "prepared", metrics=tmp_path / "data.json")
    return json.loads((tmp_path / "data.json").read_text())


def column(name, *cells):
    return Column(name, [str(cell) for cell in cells])


MESSAGES = column("message", *map(message, range(60)))
TOPICS = column("topic", *(["a", "b", "c"] * 20))
SCORES = column("score", *(row / 7 for row in range(60)))


def test_support_messages(tmp_path):
    proposal = propose(str(SUPPORT), None, never, 1)
    assert proposal.task == "classification"
    assert proposal.target.data["columns"] == {"text": "message", "label": "topic"}
    assert (proposal.teacher_domains, proposal.samples) == (["target"], {"source": 0, "target": 20, "unlabelled": 0})
    splits = prepared(proposal, tmp_path)["splits"]
    assert {name: split["rows"] for name, split in splits.items()} == {
        "source": 0, "train": 50, "validation": 20, "test": 30,
    }  # fmt: skip


@pytest.mark.parametrize("rows", [20, 21, 60, 97, 333])
@pytest.mark.parametrize("rare", [2, 3, 4])
def test_every_size_is_one_that_prepare_takes(rows, rare, tmp_path):
    path = table(tmp_path / "t.csv", [[message(row), "rare" if row % rare == 0 else "common"] for row in range(rows)])
    proposal = propose(path, None, never, 1)
    found = prepared(proposal, tmp_path)
    assert found["splits"]["train"]["rows"] == proposal.train
    assert sum(split["rows"] for split in found["splits"].values()) >= 0.9 * rows


def test_equal_classes_are_drawn_equally_and_others_as_they_are_spread(tmp_path):
    even = [[message(row), "ab"[row % 2]] for row in range(400)]
    assert propose(table(tmp_path / "even.csv", even), None, never, 1).target.data["per_class"] == 100
    skewed = [[message(row), "ab"[row % 10 == 0]] for row in range(400)]
    data = propose(table(tmp_path / "skewed.csv", skewed), None, never, 1).target.data
    assert (data["rows"], data["validation"], data["test"]) == (200, 80, 120)


def test_a_large_table_is_not_used_whole(tmp_path):
    path = table(tmp_path / "t.csv", [[message(row), "ab"[row % 2]] for row in range(9000)])
    proposal = propose(path, None, never, 1)
    data = proposal.target.data
    assert (data["per_class"], data["validation"], data["test"]) == (500, 100, 2000)
    assert proposal.samples == {"source": 0, "target": 4, "unlabelled": 0}
    assert any("5,900 are left over" in line for line in proposal.notes)


def test_rows_and_classes_that_cannot_be_learnt_are_left_out(tmp_path):
    rows = [[message(row), "ab"[row % 2]] for row in range(60)]
    rows += [[message(60), "once"], [message(61), ""], [message(62), "nan"]]
    proposal = propose(table(tmp_path / "t.csv", rows), None, never, 1)
    assert proposal.target.data["where"] == {"label": ["a", "b"]}
    assert "left out: 'once', with fewer than 5 rows each (see where)" in proposal.notes
    assert "left out: 2 rows without a label in 'label' (see where)" in proposal.notes
    assert prepared(proposal, tmp_path)["read"]["target"] == 60


def test_rows_without_a_label_are_texts_without_labels(tmp_path):
    rows = [[message(row), "ab"[row % 2] if row < 60 else ["", "nan"][row % 2]] for row in range(90)]
    path = table(tmp_path / "t.csv", [*rows, ["", ""]])
    proposal = propose(path, None, never, 1)
    assert proposal.unlabelled == {"path": path, "columns": {"text": "text"}, "where": {"label": ["", "nan"]}}
    assert f"unlabelled: 30 texts of {path}, which have no label in 'label'" in proposal.notes
    assert not any("left out" in line for line in proposal.notes)
    metrics = prepared(proposal, tmp_path)
    assert (metrics["read"]["target"], metrics["splits"]["unlabelled"]["rows"]) == (60, 30)


def test_numbers_may_be_missing_where_the_rows_are_used_all_the_same(tmp_path):
    rows = [[message(row), row / 61 if row < 60 else ""] for row in range(90)]
    proposal = propose(table(tmp_path / "t.csv", rows, ("text", "score")), None, never, 1)
    assert proposal.task == "regression"
    metrics = prepared(proposal, tmp_path)
    assert metrics["dropped"]["target"]["unlabelled"] == metrics["splits"]["unlabelled"]["rows"] == 30


@pytest.mark.parametrize("header", [["text"], ["body"], ["id", "text"], ["id", "body"]])
def test_a_table_without_labels(header, tmp_path):
    few = table(tmp_path / "few.csv", [[message(row), "ab"[row % 2]] for row in range(60)])
    rows = [[*([row] if len(header) > 1 else []), f"then {message(row)}"] for row in range(40)]
    path = table(tmp_path / "more.csv", rows, header)
    proposal = propose(few, None, never, 1, path)
    assert proposal.unlabelled == {"path": path, "columns": {"text": header[-1]}}
    assert f"unlabelled: 40 rows of {path}; texts {header[-1]!r}" in proposal.notes
    assert prepared(proposal, tmp_path)["splits"]["unlabelled"] == {"rows": 40}


def test_a_table_without_labels_of_pairs(tmp_path):
    few = table(tmp_path / "few.csv", [[message(row), "ab"[row % 2]] for row in range(60)])
    pairs = table(tmp_path / "more.csv", [[message(row), f"then {message(row)}"] for row in range(60)], ("q1", "q2"))
    with pytest.raises(InputError, match=r"more\.csv: it has pairs and .*few\.csv single texts; accepted: the same"):
        propose(few, None, never, 1, pairs)


def test_pairs_are_known_by_their_names():
    other = column("hypothesis", *(f"it was {message(row)}" for row in range(60)))
    premise = Column("premise", MESSAGES.cells)
    assert text_columns([TOPICS, premise, other], "t.csv", never) == [premise, other]
    numbered = [Column("Question 1", MESSAGES.cells), Column("Question 2", other.cells)]
    assert text_columns([*numbered, TOPICS], "t.csv", never) == numbered


def test_two_texts_without_known_names_are_asked_for(asked):
    short = column("heading", *(f"about {row} things" for row in range(60)))
    long = Column("notes", MESSAGES.cells)
    assert text_columns([short, long, TOPICS], "t.csv", asked) == [long]
    ((_, answers),) = asked
    assert [answer.split(",")[0] for answer in answers] == ["'notes'", "'heading'", "'heading'"]
    asked.takes = 2
    assert text_columns([short, long, TOPICS], "t.csv", asked) == [short, long]


def test_ids_and_addresses_are_no_texts():
    ids = column("id", *(f"8f14e45f-ceea-467f-{row:04d}" for row in range(60)))
    urls = column("text", *(f"https://example.com/a-b-c/{row}" for row in range(60)))
    with pytest.raises(InputError, match=r"t\.csv: no column has texts, .*found: 'id', 'text', 'topic'"):
        text_columns([ids, urls, TOPICS], "t.csv", never)


def test_a_text_may_have_no_spaces():
    chinese = column("内容", *(f"我的包裹第{row}号还没有送到请帮我查一下" for row in range(60)))
    assert text_columns([chinese, TOPICS], "t.csv", never) == [chinese]


def test_which_column_is_the_label(asked):
    channel = column("channel", *(["mail", "chat"] * 30))
    kind = column("kind", *(["x", "y"] * 30))
    votes = column("votes", *(row % 17 * 3 for row in range(60)))
    ticket = column("ticket", *range(60))
    helpful = Column("helpful", SCORES.cells)
    assert label_column([ticket, MESSAGES, channel, TOPICS], [MESSAGES], "t.csv", never) is TOPICS
    assert label_column([ticket, MESSAGES, channel], [MESSAGES], "t.csv", never) is channel
    assert label_column([MESSAGES, channel, kind], [MESSAGES], "t.csv", never, like="channel") is channel
    assert label_column([MESSAGES, helpful, votes], [MESSAGES], "t.csv", asked) is helpful
    assert label_column([MESSAGES, channel, kind, votes], [MESSAGES], "t.csv", asked) is kind
    assert asked[0][1] == [helpful.shown(), votes.shown()]
    assert asked[1][1] == [kind.shown(), channel.shown(), votes.shown()]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (
            [MESSAGES, column("label", *(f"no {row}" for row in range(60)))],
            "'label' has 60 different values in 60 rows",
        ),
        ([MESSAGES, column("date", *(f"2024-01-{row}" for row in range(60)))], "'date' has 60 different values"),
        ([MESSAGES, column("label", *(["same"] * 60))], "'label' has 1 different values in 60 rows"),
        ([MESSAGES, column("id", *range(60))], "'id' has 60 different values in 60 rows"),
        ([MESSAGES], "all columns are texts"),
    ],
)
def test_no_label(columns, found):
    with pytest.raises(InputError) as caught:
        label_column(columns, [MESSAGES], "t.csv", never)
    assert str(caught.value).startswith("t.csv: no column can be the label: ")
    assert found in str(caught.value)


def test_stars_may_be_classes_or_a_number(tmp_path, asked):
    path = table(tmp_path / "t.csv", [[message(row), row % 5 + 1] for row in range(100)], ("text", "stars"))
    assert propose(path, None, asked, 1).task == "classification"
    asked.takes = 1
    assert propose(path, None, asked, 1).task == "regression"
    assert [answers for _, answers in asked] == [["classification into 5 classes", "regression, of a number"]] * 2


@pytest.mark.parametrize("value", [lambda row: row % 3 / 2, lambda row: row / 7, lambda row: row % 40 + 100])
def test_numbers_that_do_not_count_on_are_predicted(value, tmp_path):
    path = table(tmp_path / "t.csv", [[message(row), value(row)] for row in range(100)], ("text", "score"))
    proposal = propose(path, None, never, 1)
    assert (proposal.task, proposal.target.data["rows"]) == ("regression", 50)
    prepared(proposal, tmp_path)


def few_and_many(tmp_path, labels, theirs):
    few = table(tmp_path / "few.csv", [[message(row), labels[row % len(labels)]] for row in range(60)])
    many = [[f"long ago {message(row)}", theirs[row % len(theirs)]] for row in range(300)]
    return few, table(tmp_path / "many.csv", many)


def test_labels_that_differ_in_letter_case_are_the_same(tmp_path):
    few, many = few_and_many(tmp_path, ["Good", "Not good"], ["good", "not_good"])
    proposal = propose(few, many, never, 1)
    assert proposal.source.data["labels"] == {"good": "Good", "not_good": "Not good"}
    assert (proposal.teacher_domains, proposal.samples["source"]) == (["source", "target"], 0)
    assert prepared(proposal, tmp_path)["splits"]["source"]["labels"] == {"Good": 150, "Not good": 150}


def test_a_sign_may_be_what_tells_labels_apart(tmp_path, asked):
    few, many = few_and_many(tmp_path, ["C#", "Java"], ["C", "java"])
    assert propose(few, many, asked, 1).teacher_domains == ["target"]
    assert [answers for _, answers in asked] == [["none of them", "'C#'", "'Java'"]]
    few, many = few_and_many(tmp_path, ["Yes ✓", "C++"], ["yes!", "c++"])
    assert propose(few, many, never, 1).source.data["labels"] == {"c++": "C++", "yes!": "Yes ✓"}


def test_labels_that_the_target_lacks_are_left_out_of_the_source(tmp_path, asked):
    few, many = few_and_many(tmp_path, ["a", "b"], ["a", "b", "other"])
    proposal = propose(few, many, asked, 1)
    assert asked[0][1] == ["none of them", "'a'", "'b'"]
    assert proposal.source.data["where"] == {"label": ["a", "b"]}
    assert prepared(proposal, tmp_path)["splits"]["source"]["rows"] == 200


def test_other_labels_teach_nothing(tmp_path, asked):
    few, many = few_and_many(tmp_path, ["a", "b"], ["0", "1"])
    proposal = propose(few, many, asked, 1)
    assert (proposal.teacher_domains, proposal.epochs(deep=True)) == (["target"], {"source": 0, "target": 20})
    assert "the source's labels '0', '1' are not the target's: the teacher learns from the" in proposal.notes[-1]
    assert prepared(proposal, tmp_path)["splits"]["source"]["rows"] == 300


def test_an_answer_says_what_labels_mean(tmp_path):
    few, many = few_and_many(tmp_path, ["bad", "good"], ["0", "1"])
    answers = {"0": "'bad'", "1": "'good'"}

    def choose(question, offered):
        return offered.index(next(answer for name, answer in answers.items() if f"is '{name}'?" in question))

    proposal = propose(few, many, choose, 1)
    assert proposal.source.data["labels"] == {"0": "bad", "1": "good"}
    assert proposal.teacher_domains == ["source", "target"]
    prepared(proposal, tmp_path)


def test_numbers_of_another_scale_teach_nothing(tmp_path):
    few = table(tmp_path / "few.csv", [[message(row), row / 61] for row in range(60)], ("text", "score"))
    for top, learnt in ((1.05, ["source", "target"]), (5, ["target"])):
        rows = [[f"then {message(row)}", row / 299 * top] for row in range(300)]
        proposal = propose(few, table(tmp_path / "many.csv", rows, ("text", "score")), never, 1)
        assert proposal.teacher_domains == learnt


def test_names_beside_numbers_are_an_error(tmp_path):
    _, many = few_and_many(tmp_path, ["a"], ["high", "low"])
    few = table(tmp_path / "few.csv", [[message(row), row / 61] for row in range(60)])
    with pytest.raises(
        InputError, match=r"many\.csv, column 'label', such as 'high', 'low': no numbers; accepted: num"
    ):
        propose(few, many, never, 1)


def test_pairs_of_the_source_stand_in_the_targets_order(tmp_path):
    rows = [[message(row), f"then {message(row)}", "ab"[row % 2]] for row in range(60)]
    few = table(tmp_path / "few.csv", rows, ("question1", "question2", "label"))
    many = table(tmp_path / "many.csv", [row[::-1] for row in rows], ("label", "question2", "question1"))
    columns = {"text": "question1", "text_pair": "question2", "label": "label"}
    assert propose(few, many, never, 1).source.data["columns"] == columns


def test_pairs_beside_single_texts_are_an_error(tmp_path):
    few, _ = few_and_many(tmp_path, ["a", "b"], ["a", "b"])
    rows = [[message(row), f"then {message(row)}", "ab"[row % 2]] for row in range(60)]
    pairs = table(tmp_path / "pairs.csv", rows, ("question1", "question2", "label"))
    with pytest.raises(InputError, match=r"pairs\.csv: it has pairs and .*few\.csv single texts; accepted: the same"):
        propose(few, pairs, never, 1)


def test_what_ties_rows_together():
    author = column("author_id", *(row // 3 for row in range(60)))
    again = column("question2", *(message(row // 2) for row in range(60)))
    first = Column("question1", MESSAGES.cells)
    assert group_columns([author, MESSAGES, TOPICS], [MESSAGES], TOPICS) == [[author]]
    assert group_columns([first, again, TOPICS], [first, again], TOPICS) == [[first, again], [again]]
    assert group_columns([MESSAGES, TOPICS], [MESSAGES], TOPICS) == []


def test_rows_of_one_author_stay_together(tmp_path):
    rows = [[message(row), "ab"[row % 2], row // 4] for row in range(200)]
    proposal = propose(table(tmp_path / "t.csv", rows, ("text", "label", "author")), None, never, 1)
    assert proposal.target.data["columns"]["group"] == "author"
    prepared(proposal, tmp_path)


def test_a_group_that_ties_all_rows_together_is_none(tmp_path):
    rows = [[message(row), "ab"[row % 2], row // 100] for row in range(200)]
    proposal = propose(table(tmp_path / "t.csv", rows, ("text", "label", "author")), None, never, 1)
    assert "group" not in proposal.target.data["columns"]


def test_few_groups_are_none(tmp_path):
    rows = [[message(row), "ab"[row % 2], row * 7 % 9] for row in range(200)]
    proposal = propose(table(tmp_path / "t.csv", rows, ("text", "label", "product")), None, never, 1)
    assert "group" not in proposal.target.data["columns"]


def test_the_sizes_with_groups_are_those_of_the_splits(tmp_path):
    rows = [[message(row), "ab"[row % 2], row // 7] for row in range(200)]
    proposal = propose(table(tmp_path / "t.csv", rows, ("text", "label", "author")), None, never, 1)
    splits = {name: split["rows"] for name, split in prepared(proposal, tmp_path)["splits"].items()}
    (said,) = [line for line in proposal.notes if line.startswith("sizes: ")]
    assert (
        said.split(";")[0].replace(" of each class)", "").split(" (")[0] == f"sizes: {splits['train']} rows to train on"
    )
    assert f"{splits['validation']} to validate, {splits['test']} to test" in said


def test_files_of_a_glob_give_the_columns_they_share(tmp_path):
    table(tmp_path / "1.csv", [[message(1), "a", "x"]], ("text", "label", "more"))
    table(tmp_path / "2.csv", [["b", message(2)]], ("label", "text"))
    assert columns_of(read_section({"path": str(tmp_path / "*.csv")})) == [
        Column("text", [message(1), message(2)]),
        Column("label", ["a", "b"]),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "t.csv is empty"),
        ("text,label\n", "t.csv has no rows"),
        (
            "text\na b c d\n",
            "t.csv: one column, 'text', such as 'a b c d'; accepted: one with texts and one with labels",
        ),
        ("text,label\na b c d,x\na b c e,y\n", "t.csv: no column can be the label"),
    ],
)
def test_tables_of_no_use(content, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(content)
    with pytest.raises(InputError) as caught:
        propose("t.csv", None, never, 1)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("labels", [["billing", "delivery", "tech"], "12345"])
def test_a_first_row_that_was_taken_for_the_header(labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [[message(row), labels[row % len(labels)]] for row in range(60)]
    path = table(Path("t.csv"), rows[1:], rows[0])
    label, others = labels[0], 60 // len(labels) - 1
    with pytest.raises(InputError) as caught:
        propose(path, None, never, 1)
    assert str(caught.value) == (
        f"t.csv: its first line looks like a row: column '{label}' has '{label}' as a label of {others} rows; "
        "accepted: a table whose first line names its columns"
    )
    # So is a table of the source domain.
    few = table(Path("few.csv"), rows)
    with pytest.raises(InputError, match=r"^t\.csv: its first line looks like a row"):
        propose(few, path, lambda *_: 0, 1)


def test_a_column_may_be_named_like_one_of_its_labels(tmp_path):
    rows = [[message(row), ["spam", "ham"][row % 2]] for row in range(60)]
    path = table(tmp_path / "t.csv", rows, ["message", "spam"])
    assert propose(str(path), None, never, 1).target.label.name == "spam"


def test_too_few_rows(tmp_path):
    rows = [[message(row % 16), "ab"[row % 2]] for row in range(30)]
    with pytest.raises(InputError, match=r"t\.csv: 16 rows can be used, empty and repeated ones aside; accepted: 20"):
        propose(table(tmp_path / "t.csv", rows), None, never, 1)


def test_a_file_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").touch()
    with pytest.raises(InputError, match=r"^no such file: mime\.csv; nearest: mine\.csv$"):
        propose("mime.csv", None, never, 1)
