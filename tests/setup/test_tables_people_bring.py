"""Kinds of tables that people bring, each small, with what must be proposed and what `prepare` makes of it."""

import csv
import json
from collections import Counter
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.data.prepare import prepare
from pipeline.data.texts import read_texts
from pipeline.errors import InputError
from pipeline.params.schema import Params
from pipeline.setup.proposal import propose

WORDS = ["parcel", "refund", "password", "courier", "invoice", "screen", "label", "card", "update", "address"]


def message(row):
    return f"my {WORDS[row % 10]} number {row} is gone and nobody has told me why"


@pytest.fixture
def table(tmp_path):
    """Write rows as a CSV and return its path."""

    def write(header, rows, name="t.csv"):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        return str(tmp_path / name)

    return write


@pytest.fixture
def proposed(tmp_path):
    """Propose, taking the first answers or the given ones, and run `prepare` on it: questions, proposal, metrics."""

    def run(path, source=None, *, takes=()):
        asked = []

        def choose(question, answers):
            asked.append((question, list(answers)))
            return takes[len(asked) - 1] if len(asked) <= len(takes) else 0

        proposal = propose(path, source, choose, 1)
        data = {
            "target": proposal.target.data,
            "source": proposal.source and proposal.source.data,
            "unlabelled": proposal.unlabelled,
        }
        teacher = {"domains": proposal.teacher_domains, "epochs": proposal.epochs(deep=False)}
        params = Params.model_validate(
            {"task": proposal.task, "data": data, "teacher": teacher, "augment": {"samples": proposal.samples}}
        )
        prepare(params, out=tmp_path / "prepared", metrics=tmp_path / "data.json")
        return asked, proposal, json.loads((tmp_path / "data.json").read_text())

    return run


def texts_of(tmp_path, split):
    return read_texts(tmp_path / "prepared" / f"{split}.parquet")


@pytest.mark.parametrize("names", [("premise", "hypothesis"), ("story", "ending")])
def test_the_side_of_pairs_that_repeats_is_a_text_and_the_group(names, table, proposed, tmp_path):
    rows = [[message(row // 3), f"so they say {row}", ["no", "yes", "maybe"][row % 3]] for row in range(270)]
    asked, proposal, _ = proposed(table((*names, "label"), rows))
    columns = {"text": names[0], "text_pair": names[1], "label": "label", "group": list(names)}
    assert proposal.target.data["columns"] == columns
    assert [answers[0] for _, answers in asked] == (
        [] if names[0] == "premise" else [f"'story', such as {message(0)!r} and 'ending', such as 'so they say 0'"]
    )
    parts = [set(texts_of(tmp_path, split).texts) for split in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set().union(*parts))


@pytest.mark.parametrize("names", [("left", "right", "match"), ("ltable", "rtable", "same")])
def test_records_to_be_matched(names, table, proposed):
    rows = [[f"digital camera model {row // 6}", f"a camera of model {row}", int(row % 6 == 0)] for row in range(240)]
    _, proposal, metrics = proposed(table(names, rows))
    assert proposal.target.data["columns"] == {
        "text": names[0], "text_pair": names[1], "label": names[2], "group": list(names[:2]),
    }  # fmt: skip
    assert metrics["labels"] == ["0", "1"]


def test_a_column_of_many_words_is_no_label(table):
    rows = [[message(row), f"this is what they said of it in group {row % 3}"] for row in range(60)]
    with pytest.raises(InputError, match=r"no column can be the label: all columns are texts"):
        propose(table(("text", "note"), rows), None, lambda *_: 0, 1)
    with pytest.raises(InputError, match=r"column 'label' has 10 words on average; accepted: one label a row"):
        propose(table(("text", "label"), rows), None, lambda *_: 1, 1)


@pytest.mark.parametrize("name", ["aspect", "about"])
def test_a_review_with_a_label_for_each_aspect(name, table, proposed):
    rows = [[message(row // 3), ["food", "service", "price"][row % 3], "ab"[row % 3 == 1]] for row in range(180)]
    path = table(("review", name, "label"), rows)
    more = table(("review", name, "label"), [[f"then {text}", *rest] for text, *rest in rows], "s.csv")
    asked, proposal, metrics = proposed(path, more)
    columns = {"text": "review", "text_pair": name, "label": "label"}
    assert proposal.target.data["columns"] == {**columns, "group": "review"}
    assert proposal.source.data["columns"] == columns
    assert len(asked) == (name == "about")
    assert (metrics["dropped"]["source"]["leaked"], metrics["splits"]["source"]["rows"]) == (0, 180)


@pytest.mark.parametrize("name", ["annotator", "worker_id"])
def test_who_rates_a_text_is_no_second_text(name, table, proposed):
    rows = [[message(row // 3), "ABC"[row % 3], "xy"[(row // 3 + (row % 3 == 1)) % 2]] for row in range(180)]
    asked, proposal, metrics = proposed(table(("text", name, "label"), rows))
    assert (asked, proposal.target.data["columns"]) == ([], {"text": "text", "label": "label"})
    assert metrics["dropped"]["target"] == {"empty": 0, "leaked": 0, "conflicting": 60, "duplicate": 60}


SCALES = {
    "-1/0/1": ([-1, 0, 1], "classification", ["-1", "0", "1"]),
    "0/2/4": ([0, 2, 4], "classification", ["0", "2", "4"]),
    "100 to 116": (range(100, 117), "classification", [str(number) for number in range(100, 117)]),
    "years": (range(1950, 1990), "regression", []),
}


@pytest.mark.parametrize("scale", SCALES)
def test_few_whole_numbers_are_asked_for(scale, table, proposed):
    numbers, task, names = SCALES[scale]
    rows = [[message(row), numbers[row % len(numbers)]] for row in range(10 * len(numbers) + 30)]
    asked, proposal, metrics = proposed(table(("text", "label"), rows))
    assert (proposal.task, metrics["labels"]) == (task, names)
    assert asked[-1][0].endswith(": what is to be predicted?")
    assert len(asked[-1][1]) == 2
    assert f" rows of {proposal.target.path}; {task}; texts 'text', label 'label' (" in proposal.notes[0]


@pytest.mark.parametrize("mark", ["-", "?", "n/a", "", "-1", "NaN"])
@pytest.mark.parametrize("count", [6, 30])
def test_no_gold_label_beside_names(mark, count, table, proposed):
    rows = [[message(row), ["no", "yes"][row % 2] if row < 60 else mark] for row in range(60 + count)]
    asked, proposal, metrics = proposed(table(("text", "label"), rows))
    assert (asked, metrics["labels"]) == ([], ["no", "yes"])
    assert metrics["read"]["target"] == 60
    if count == 30:
        assert metrics["splits"]["unlabelled"] == {"rows": 30}
        assert any(line.startswith("unlabelled: 30 texts of ") for line in proposal.notes)
    else:
        assert any(line.startswith("left out: 6 rows without a label in 'label'") for line in proposal.notes)


@pytest.mark.parametrize("mark", ["-", "", "-1"])
@pytest.mark.parametrize("count", [6, 30])
def test_no_gold_label_beside_numbers(mark, count, table, proposed):
    rows = [[message(row), row / 12 if row < 60 else mark] for row in range(60 + count)]
    asked, proposal, metrics = proposed(table(("text", "score"), rows))
    assert [answers for _, answers in asked] == (
        [[f"that the {count} rows have no label", "a label like the others"]] if mark == "-1" else []
    )
    assert (proposal.task, metrics["dropped"]["target"]["unlabelled"]) == ("regression", count)
    assert metrics["splits"]["train"]["labels"]["min"] >= 0
    assert ("unlabelled" in metrics["splits"]) == (count == 30)


def test_minus_one_beside_class_indices_is_no_label(table, proposed):
    rows = [[message(row), row % 4 - 1] for row in range(120)]
    path = table(("text", "label"), rows)
    asked, _, metrics = proposed(path)
    assert asked[0][1] == ["that the 30 rows have no label", "a label like the others"]
    assert (metrics["labels"], metrics["splits"]["unlabelled"]) == (["0", "1", "2"], {"rows": 30})
    assert proposed(path, takes=[1])[2]["labels"] == ["-1", "0", "1", "2"]


def test_spellings_of_one_class(table, proposed):
    names = ["yes", "no", "Yes", "No", "yes", "NO", "YES", "no"]
    path = table(("text", "label"), [[message(row), names[row % 8]] for row in range(120)])
    more = [[f"then {message(row)}", ["yes", "NO"][row % 2]] for row in range(120)]
    _, proposal, metrics = proposed(path, table(("text", "label"), more, "s.csv"))
    assert proposal.target.labels == {"yes": 60, "no": 60}
    assert "one class in several spellings: " in "\n".join(proposal.notes)
    assert metrics["labels"] == ["no", "yes"]
    assert metrics["splits"]["source"]["labels"] == {"no": 60, "yes": 60}


def test_one_and_1_0_in_two_tables(table, proposed):
    few = table(("text", "label"), [[message(row), row % 2] for row in range(60)])
    many = table(("text", "label"), [[f"then {message(row)}", f"{row % 2}.0"] for row in range(120)], "s.csv")
    asked, proposal, metrics = proposed(few, many)
    assert (asked, proposal.teacher_domains) == ([], ["source", "target"])
    assert metrics["splits"]["source"]["labels"] == {"0": 60, "1": 60}


def test_decimals_of_parquet(tmp_path, proposed):
    scores = [Decimal(row * 25) / 100 for row in range(60)]
    cells = {"text": [message(row) for row in range(60)], "score": pa.array(scores, type=pa.decimal128(6, 2))}
    pq.write_table(pa.table(cells), tmp_path / "t.parquet")
    _, proposal, metrics = proposed(str(tmp_path / "t.parquet"))
    assert (proposal.task, metrics["splits"]["train"]["rows"]) == ("regression", 30)
    assert "label 'score' (0 to 14.75); not used: no other column" in proposal.notes[0]


def test_class_names_of_a_parquet_file_of_datasets(tmp_path, table, proposed):
    features = {"label": {"names": ["negative", "positive"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    cells = {"text": [message(row) for row in range(90)], "label": [row % 3 - 1 for row in range(90)]}
    pq.write_table(pa.table(cells).replace_schema_metadata(metadata), tmp_path / "t.parquet")
    more = [[f"then {message(row)}", ["Negative", "Positive"][row % 2]] for row in range(120)]
    asked, _, metrics = proposed(str(tmp_path / "t.parquet"), table(("text", "label"), more, "s.csv"))
    assert (asked, metrics["labels"]) == ([], ["negative", "positive"])
    assert metrics["splits"]["source"]["labels"] == {"negative": 60, "positive": 60}
    assert metrics["splits"]["unlabelled"] == {"rows": 30}


def test_several_raters(table, proposed, tmp_path):
    votes = [[message(row // 3), "ab"[(row // 3 + (row % 3 == row // 3 % 3)) % 2]] for row in range(180)]
    votes += [["this one is a tie of two", name] for name in "ab"]
    _, _, metrics = proposed(table(("text", "label"), votes))
    assert metrics["dropped"]["target"] == {"empty": 0, "leaked": 0, "conflicting": 60, "tied": 2, "duplicate": 60}
    found = [texts_of(tmp_path, split) for split in ("train", "validation", "test")]
    labels = {text: texts.label(row) for texts in found for row, text in enumerate(texts.texts)}
    assert labels == {message(row): "ab"[row % 2] for row in range(60)}

    scores = [[message(row // 3), row // 3 % 7 + [0, 0.5, 1][row % 3]] for row in range(180)]
    _, proposal, metrics = proposed(table(("text", "score"), scores))
    assert (proposal.task, metrics["dropped"]["target"]["averaged"]) == ("regression", 120)
    found = [texts_of(tmp_path, split) for split in ("train", "validation", "test")]
    labels = {text: texts.label(row) for texts in found for row, text in enumerate(texts.texts)}
    assert labels == {message(row): row % 7 + 0.5 for row in range(60)}


def test_texts_that_differ_in_what_matters(table, proposed):
    rows = [[f"I write {name} at my desk {row} a day", name] for row in range(20) for name in ("C#", "C++", "C")]
    rows += [[f"they came at {row} {sign}", sign] for row in range(20) for sign in (":)", ":(")]
    _, _, metrics = proposed(table(("text", "label"), rows))
    assert metrics["dropped"]["target"] == {"empty": 0, "leaked": 0, "conflicting": 0, "duplicate": 0}
    assert metrics["labels"] == [":(", ":)", "C", "C#", "C++"]


def test_grades_that_differ_in_a_sign_are_not_one_class(table, proposed):
    few = table(("text", "grade"), [[message(row), ["A", "A+", "A-"][row % 3]] for row in range(60)])
    many = table(
        ("text", "grade"), [[f"then {message(row)}", ["A", "A-", "A+"][row % 3]] for row in range(90)], "s.csv"
    )
    asked, proposal, metrics = proposed(few, many)
    assert (asked, "labels" in proposal.source.data) == ([], False)
    assert metrics["splits"]["source"]["labels"] == {"A": 30, "A+": 30, "A-": 30}


def test_columns_without_a_name(table, proposed):
    rows = [[["ham", "spam"][row % 2], message(row), "", "", ""] for row in range(60)]
    rows[3][2] = "more of it"
    _, proposal, _ = proposed(table(("v1", "v2", "", "", ""), rows))
    assert proposal.target.data["columns"] == {"text": "v2", "label": "v1"}
    assert proposal.notes[0].endswith("; not used: 'column 3', 'column 4', 'column 5'")


def test_semicolons_and_an_array_of_json(tmp_path, proposed):
    rows = [{"text": message(row), "label": "ab"[row % 2]} for row in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["text;label", *(";".join(row.values()) for row in rows)]))
    (tmp_path / "t.json").write_text(json.dumps(rows, indent=2))
    for name in ("t.csv", "t.json"):
        assert proposed(str(tmp_path / name))[2]["splits"]["train"]["labels"] == {"a": 15, "b": 15}


@pytest.mark.parametrize("written", [list, str])
def test_lists_of_labels_are_one_line(written, tmp_path):
    labels = [["joy"], ["joy", "love"], ["anger"]]
    rows = [{"text": message(row), "labels": written(labels[row % 3]), "id": row} for row in range(60)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError) as caught:
        propose(str(tmp_path / "t.jsonl"), None, lambda *_: 0, 1)
    assert str(caught.value).startswith(
        f"{tmp_path / 't.jsonl'}: no column can be the label: column 'labels' has several labels in a cell; accepted: "
    )


@pytest.mark.parametrize("separator", [";", "|", ", "])
def test_labels_with_a_separator_between_them_are_one_line(separator, table):
    labels = [["joy"], ["joy", "love"], ["anger", "love"], ["anger"]]
    rows = [[message(row), separator.join(labels[row % 4])] for row in range(60)]
    path = table(("text", "kinds"), rows)
    with pytest.raises(InputError, match="column 'kinds' has several labels in a cell"):
        propose(path, None, lambda *_: 0, 1)


def test_a_sign_within_names_and_decimals_separates_no_labels(table, proposed):
    names = ["Books, Music", "Games", "Music"]
    rows = [[message(row), names[row % 3]] for row in range(60)]
    assert proposed(table(("text", "kind"), rows))[1].target.label.classes.keys() == set(names)


def test_a_decimal_comma_is_one_line(table):
    names = ["1,5", "1,0", "0,5", "5"]
    path = table(("text", "score"), [[message(row), names[row % 4]] for row in range(60)])
    with pytest.raises(InputError, match=r"column 'score', such as .*: numbers with a comma; accepted: "):
        propose(path, None, lambda *_: 0, 1)
    path = table(("text", "price"), [[message(row), f"{row % 45},{row % 7}"] for row in range(90)])
    with pytest.raises(InputError, match=r"'price' has numbers with a comma \(3\.5 in place of 3,5, .* --unlabelled"):
        propose(path, None, lambda *_: 0, 1)


@pytest.mark.parametrize("word", ["n.a.", "unknown", "NA"])
@pytest.mark.parametrize("step", [0.25, 1])
def test_a_word_beside_numbers_is_no_label(table, proposed, word, step):
    rows = [[message(row), word if row % 20 == 7 else row % 19 * step] for row in range(120)]
    asked, proposal, _ = proposed(table(("text", "score"), rows), takes=[1])
    assert (proposal.task, len(asked)) == ("regression", int(step == 1))
    assert proposal.target.data["labels"] == {word: ""}
    assert any(line.startswith("left out: 6 rows without a label in 'score'") for line in proposal.notes)


def test_words_in_many_rows_are_labels(table, proposed):
    """Beside 3 and 4, said of every fifth row, `none` is an answer."""
    rows = [[message(row), ["3", "4", "5", "none", "2"][row % 5]] for row in range(120)]
    assert len(proposed(table(("text", "stars"), rows))[2]["labels"]) == 5


def test_rows_of_several_raters_of_whom_one_has_not_answered(table, proposed):
    rows = [[message(row // 3), "" if row % 3 == 2 else "ab"[row // 3 % 2]] for row in range(240)]
    _, proposal, metrics = proposed(table(("text", "label"), rows))
    assert proposal.unlabelled is None
    assert metrics["labels"] == ["a", "b"]
    assert any(line.startswith("left out: 80 rows without a label in 'label'") for line in proposal.notes)


@pytest.mark.parametrize("name", ["user_id", "tweet_id", "userId", "author", "created_at"])
def test_numbers_of_people_rows_and_times_are_no_labels(table, name):
    rows = [[message(row), 5703061328877322 + row // 2] for row in range(120)]
    with pytest.raises(InputError, match=f"no column can be the label: column '{name}' has 60 different values"):
        propose(table(("text", name), rows), None, lambda *_: 0, 1)


@pytest.mark.parametrize("name", ["label_id", "paid", "class_ID"])
def test_numbers_of_classes_and_sums_are_labels(table, proposed, name):
    rows = [[message(row), row % 3] for row in range(120)]
    assert proposed(table(("text", name), rows))[1].target.label.name == name


def test_another_scale_of_the_source_says_nothing_of_the_target(table, proposed):
    rows = [[message(row), row % 2] for row in range(60)]
    more = [[f"then {message(row)}", row % 5] for row in range(120)]
    _, proposal, _ = proposed(table(("text", "label"), rows), table(("text", "label"), more, "s.csv"))
    assert proposal.teacher_domains == ["target"]


@pytest.mark.parametrize(
    "names",
    [("#1 String", "#2 String"), ("q1_text", "q2_text"), ("ltable_name", "rtable_name"), ("prompt", "response")],
)
def test_names_of_pairs(table, proposed, names):
    rows = [[message(row), f"so {message(row + 1)}", row % 2] for row in range(60)]
    asked, proposal, _ = proposed(table((*names, "label"), rows))
    assert (asked, [text.name for text in proposal.target.texts]) == ([], [*names])


def test_pairs_that_share_a_text_stay_together_beside_users(table, proposed):
    rows = [[message(row // 3), f"so {message(row)}", row % 2, f"u{row % 25}"] for row in range(240)]
    _, proposal, _ = proposed(table(("premise", "hypothesis", "label", "user"), rows))
    assert "premise" in proposal.target.data["columns"]["group"]


def test_queries_of_two_words(table, proposed):
    rows = [[f"{WORDS[row % 10]} {row}", "ab"[row % 2]] for row in range(80)]
    assert proposed(table(("text", "label"), rows))[1].target.texts[0].name == "text"


@pytest.mark.parametrize("mark", [int, bool, float])
def test_a_column_for_each_class_is_one_line(table, mark):
    rows = [[message(row), *(mark(row % 3 == i) for i in range(3))] for row in range(60)]
    path = table(("text", "joy", "love", "anger"), rows)
    with pytest.raises(InputError) as caught:
        propose(path, None, lambda *_: 0, 1)
    assert str(caught.value) == (
        f"{path}: columns joy, love, anger are one label, one-hot: in every row one of them is 1; "
        "accepted: one column with the names of the classes"
    )


@pytest.mark.parametrize("name", ["intent_{:03d}", "{}", "a name of words {}"])
def test_a_hundred_and_fifty_classes(name, table, proposed):
    rows = [[message(row), name.format(row % 150)] for row in range(3000)]
    asked, proposal, metrics = proposed(table(("text", "intent"), rows))
    assert (proposal.task, len(metrics["labels"])) == ("classification", 150)
    assert proposal.target.data["columns"] == {"text": "text", "label": "intent"}
    assert len(asked) == (name == "{}")
    assert metrics["splits"]["train"]["rows"] + metrics["unused"]["target"] == 3000 - 100 - 900


def test_many_names_are_no_label_beside_few(table, proposed):
    rows = [[f"g{row // 9}", row % 2, message(row)] for row in range(400)]
    asked, proposal, _ = proposed(table(("source", "acceptability", "sentence"), rows))
    assert [answers[0].split(",")[0] for _, answers in asked] == ["'acceptability'"]
    assert proposal.target.label.name == "acceptability"


def test_a_user_with_six_rows_each_is_no_label(table, proposed):
    rows = [[message(row), f"user_{row // 6}", "ab"[row % 2]] for row in range(1200)]
    asked, proposal, _ = proposed(table(("text", "who", "kind"), rows))
    assert (asked, proposal.target.label.name) == ([], "kind")


def test_a_pair_and_its_mirror_image(table, proposed, tmp_path):
    pairs = [[message(row), f"then {message(row)}", ["no", "yes"][row % 2]] for row in range(100)]
    rows = pairs + [[other, one, label] for one, other, label in pairs[:50]]
    _, _, metrics = proposed(table(("question1", "question2", "label"), rows))
    assert metrics["dropped"]["target"]["mirrored"] == 50
    found = [texts_of(tmp_path, split) for split in ("train", "validation", "test")]
    pairs = [frozenset(pair) for texts in found for pair in zip(texts.texts, texts.pairs, strict=True)]
    assert max(Counter(pairs).values()) == 1


def test_a_quoted_tsv(tmp_path, proposed):
    rows = [[f'they said ""{message(row)}""', "ab"[row % 2], row] for row in range(60)]
    lines = ["text\tlabel\tid", *(f'"{text}\nand left"\t{label}\t{row}' for text, label, row in rows)]
    (tmp_path / "t.tsv").write_text("\n".join(lines))
    _, proposal, _ = proposed(str(tmp_path / "t.tsv"))
    assert proposal.target.texts[0].cells[0] == f'they said "{message(0)}"\nand left'
    assert texts_of(tmp_path, "test").texts[0].startswith('they said "my ')


def test_texts_of_scripts_without_blanks(table, proposed):
    khmer = "ខ្ញុំចង់បានសៀវភៅថ្មីមួយក្បាល"
    rows = [[f"{khmer} {row}", ["ល្អ", "អន់"][row % 2]] for row in range(60)]
    _, proposal, _ = proposed(table(("a", "b"), rows))
    assert proposal.target.data["columns"] == {"text": "a", "label": "b"}


def test_a_source_of_much_longer_texts_in_a_script_without_blanks(table, proposed):
    words = "天地人日月山川草木花鳥風雨雪春夏秋冬東西南北"

    def sentence(row):
        return "".join(words[(row * step + step) % len(words)] for step in range(1, 12)) + "。"

    few = [[f"{sentence(row)}{row}", "ab"[row % 2]] for row in range(60)]
    rich = [
        ["".join(sentence(100 + 40 * row + each) for each in range(40)) + str(row), "ab"[row % 2]] for row in range(80)
    ]
    header = ("text", "label")
    _, proposal, _ = proposed(table(header, few), table(header, rich, "rich.csv"))
    assert proposal.source.data["sentences"] > 0
