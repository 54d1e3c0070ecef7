"""Damaged and hostile input: a correct result or a one-line error, never a traceback, never foreign code run."""

import json
import random
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from helpers.tiny_project import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.augment.distance import log_p_distance
from pipeline.augment.filler import Filler
from pipeline.augment.originals import encode_originals
from pipeline.augment.sampler import sample_neighbours
from pipeline.data.loading import load_table
from pipeline.distill.cache_teacher import Piece, run_teacher
from pipeline.distill.teacher_cache import TeacherCache
from pipeline.errors import InputError
from pipeline.models.loading import load_classifier, load_masked_lm, load_tokenizer
from pipeline.params.data import Table
from pipeline.params.file import load

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
EVIL = [b'"', b"\x00", b"\n", b"\r", b"\xef\xbb\xbf", b"[[[", b"1e999", b"NaN", rb"\ud800", b'{"text":{}}', b"\x85"]
WHOLE = {
    ".csv": b'text,label\n"a b",x\nc d,y\n',
    ".tsv": b"text\tlabel\na\tx\nb\ty\n",
    ".jsonl": b'{"text":"a","label":"x"}\n{"text":"b","label":1}\n',
}


@st.composite
def damaged(draw, whole):
    """The content with a few bytes changed, inserted or deleted, or with its end cut off."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        position = draw(st.integers(0, len(content)))
        match draw(st.integers(0, 3)):
            case 0:
                content[position : position + 1] = draw(st.binary(min_size=1, max_size=1))
            case 1:
                content[position:position] = draw(st.one_of(st.binary(max_size=5), st.sampled_from(EVIL)))
            case 2:
                del content[position : position + draw(st.integers(1, 9))]
            case 3:
                del content[position + 10 :]
    return bytes(content)


def result_or_one_line(work):
    """The result of `work()`, or None if it raises InputError, whose message must be one line."""
    try:
        return work()
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    # A message that cannot be encoded would end in a traceback.
    assert message.encode()
    return None


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    path = tmp_path_factory.mktemp("parquet") / "whole.parquet"
    pd.DataFrame({"text": ["a b", "c"], "label": ["x", "y"]}).to_parquet(path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("suffix", "texts"), [(".csv", "a b|c d"), (".tsv", "a|b"), (".jsonl", "a|b"), (".parquet", "a b|c")]
)
def test_whole_tables(tmp_path, parquet, suffix, texts):
    """What the next test damages is accepted as it is."""
    path = tmp_path / f"table{suffix}"
    path.write_bytes(WHOLE.get(suffix, parquet))
    table = load_table(Table(path=str(path)), "data.source", labelled=True)
    assert "|".join(table["text"]) == texts


@pytest.mark.parametrize("suffix", [*WHOLE, ".parquet"])
@in_one_folder
@given(data=st.data())
def test_damaged_tables(tmp_path, parquet, suffix, data):
    path = tmp_path / f"table{suffix}"
    path.write_bytes(data.draw(damaged(WHOLE.get(suffix, parquet))))
    table = result_or_one_line(lambda: load_table(Table(path=str(path)), "data.source", labelled=True))
    if table is not None:
        assert list(table.columns) == ["row", "text", "label"]
        assert all(isinstance(cell, str) for name in ("text", "label") for cell in table[name])
        assert all(table["label"])


VALUES = [None, True, -1, 0, 1e308, float("inf"), float("nan"), "", " ", "../..", "a\nb", [], [1], {}, {"a": 1}, 2**70]
VALUES += ["0x1f", "1e3", "\x00", "hub/x/y", {1: 2}, [[]]]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_damaged_params(tmp_path, seed):
    rng = random.Random(seed)
    text = (ROOT / "params.yaml").read_text()
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert load(path) is not None
    for _ in range(60):
        params = yaml.safe_load(text)
        for _ in range(rng.randint(1, 3)):
            section = params
            while True:
                key = rng.choice(list(section))
                if not isinstance(section[key], dict) or not section[key] or rng.random() < 0.2:
                    break
                section = section[key]
            section[rng.choice([key, f"{key}s", 1, None]) if rng.random() < 0.3 else key] = rng.choice(VALUES)
        path.write_text(yaml.safe_dump(params, allow_unicode=True))
        result_or_one_line(lambda: load(path))
        cut = rng.randrange(len(text))
        path.write_text(text[:cut] + rng.choice(["\t", "{", "&a *a", "%", "- ", "!!python/object:os.system ls", ": "]))
        result_or_one_line(lambda: load(path))


ODD = ["2001-99-99", "!!int x", "!!float x", "!!bool x", "!!map x", "!!map [1]", "!!set [1]", "!!omap {a: 1}", "0x_"]
ODD += ["0b_", "9" * 5000, "0x" + "f" * 5000, "[" * 3000, "{a: " * 3000, "&a [*a, *a]", "*b", "<<: 1", "=", "? ["]
ODD += ['"\\UFFFFFFFF"', '"\\ud800"', "!!timestamp x", "!!binary '*'", "!!python/name:os.system", "1:60", "1" * 400]


@pytest.mark.slow
@in_one_folder
@given(data=st.data())
def test_params_of_damaged_text(tmp_path, data):
    text = (ROOT / "params.yaml").read_text()
    lines = text.splitlines()
    for _ in range(data.draw(st.integers(0, 2))):
        row = data.draw(st.integers(0, len(lines) - 1))
        odd = data.draw(st.sampled_from(ODD))
        key, colon, _ = lines[row].partition(":")
        lines[row] = data.draw(st.sampled_from([f"{key}{colon} {odd}", f"{odd}: 1", odd]))
    path = tmp_path / "params.yaml"
    whole = "\n".join(lines).encode()
    path.write_bytes(data.draw(st.one_of(st.just(whole), damaged(whole))))
    result_or_one_line(lambda: load(path))


@pytest.fixture
def folder(tiny_classifier, tmp_path):
    return shutil.copytree(tiny_classifier, tmp_path / "model")


def changed(file, **values):
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_code_in_a_model_folder_is_never_run(folder, monkeypatch):
    """Nor is the user asked at the terminal whether to run it."""
    (folder / "evil.py").write_text("raise SystemExit('run')")
    changed(folder / "config.json", model_type="evil", auto_map={"AutoConfig": "evil.Config"})
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    with pytest.raises(InputError, match=r"^student\.model: \S+ needs trust_remote_code, which is not supported; acc"):
        load_classifier(folder, "student.model")


def test_a_known_architecture_runs_the_code_of_transformers(folder):
    (folder / "evil.py").write_text("raise SystemExit('run')")
    auto_map = {
        "AutoConfig": "evil.C",
        "AutoModelForSequenceClassification": "evil.M",
        "AutoTokenizer": ["evil.T", None],
    }
    changed(folder / "config.json", auto_map=auto_map)
    changed(folder / "tokenizer_config.json", auto_map=auto_map)
    assert type(load_classifier(folder, "student.model")).__module__.startswith("transformers.")
    assert type(load_tokenizer(folder, "student.model")).__module__.startswith("transformers.")


def test_a_pickle_is_not_opened(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"has no model\.safetensors or shards of it; accepted: safetensors only$"):
        load_classifier(folder, "student.model")


@pytest.mark.parametrize("content", [b"", b"junk", b"\xff" * 100])
def test_damaged_weights(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"^student\.model: \S+ cannot be loaded \(SafetensorError: [^\n]+\)$"):
        load_classifier(folder, "student.model")


NASTY = [
    "\x00",
    "a good\x00film was dull",
    "\u202eمضحك\u202c فيلم رائع جدا",
    "e\u0301\u0301\u0301 a\u0308o\u0308 \u0300 was good",
    "\x1b[31mred\x1b[0m \x07\x08 plot",
    "👩‍👩‍👧‍👦 🇩🇪 film ​‌ joke",
    "ᄀ​ᅡᆨ 각 电影很好 ﬁlm ǅ İ ß",
    "<script>alert('film')</script> $(rm -rf /) ../../x {{7*7}} %s",
    "\ufeff\u2028\u2029\x85 story",
    "good " * 200_000,
    "x" * 1_000_000,
]


@pytest.fixture(scope="module")
def through(tiny_masked_lm, tiny_classifier, tokenizer, make_params, tmp_path_factory):
    """Sample neighbours of texts and run the teacher on them: rows of `augmented`, and the logits of each."""
    params = make_params(augment={"count": "vocabulary_free"}, max_length=32)
    filler = Filler(load_masked_lm(tiny_masked_lm, "generator")[0], tokenizer, params)
    teacher, folder = load_classifier(tiny_classifier, "teacher"), tmp_path_factory.mktemp("cache")
    distances = partial(log_p_distance, alpha=1.0, vocabulary=104, count="vocabulary_free", min_distance=1)

    def sample(texts):
        ids = [f"o{row}" for row in range(len(texts))]
        originals = encode_originals(ids, texts, None, ["good"] * len(texts), tokenizer, max_length=32, side="both")
        rows, counts = sample_neighbours(originals, 2, filler, distances, 1)
        assert len(rows) == 2 * (len(texts) - counts["too_short"])
        if not rows:
            return [], np.zeros((0, 2))
        piece = Piece("piece", [row["id"] for row in rows], [row["text"] for row in rows], None)
        run_teacher(teacher, tokenizer, piece, folder / "piece", params, "")
        cache = TeacherCache(folder)
        assert (cache.tokens <= 32).all()
        return rows, cache.logits

    return sample


def differs_elsewhere(row):
    """Whether a neighbour differs from its original outside its spans by more than a space that parts two words."""
    spans = zip([*row["old_spans"], None], [*row["new_spans"], None], strict=True)
    offset = cursor = 0
    for old, new in spans:
        kept = row["original_text"][offset : old and old["start"]]
        if row["text"][cursor : new and new["start"]] not in (kept, f" {kept}", f"{kept} ", f" {kept} "):
            return True
        if old:
            offset, cursor = old["end"], new["end"]
    return False


@pytest.mark.parametrize(("text", "different"), [("a bad film", False), ("a bad  film", False), ("the bad film", True),
                                                 ("a bad film .", True)])  # fmt: skip
def test_a_difference_elsewhere_is_noticed(text, different):
    start = text.index("bad")
    row = {"original_text": "a good film", "text": text, "old_spans": [{"start": 2, "end": 6}]}
    assert differs_elsewhere(row | {"new_spans": [{"start": start, "end": start + 3}]}) == different


def check(texts, rows, logits):
    """A neighbour differs from its original in the words that its row names, and in nothing else."""
    assert np.isfinite(logits).all()
    for row in rows:
        text = texts[int(row["original_id"][1:])]
        assert row["original_text"] == text
        assert len(row["positions"]) == row["distance"] > 0
        assert np.isfinite(row["log_p"])
        for name, whole in (("old", text), ("new", row["text"])):
            words = [whole[span["start"] : span["end"]] for span in row[f"{name}_spans"]]
            assert words == row[f"{name}_words"]
            assert len(words) == row["distance"]
            assert all(words)
        assert not differs_elsewhere(row)
        assert pa.array([row["text"]], pa.string()).validate(full=True) is None


def test_nasty_texts_go_through(through):
    check(NASTY, *through(NASTY))


@pytest.mark.slow
@in_one_folder
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), min_size=1, max_size=4))
def test_any_text_goes_through(through, texts):
    check(texts, *through(texts))
