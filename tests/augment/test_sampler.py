"""Neighbours: what changes and where, that log_p is the model's, and that a row does not depend on others."""

import math
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy import special, stats
from transformers import BertForMaskedLM, RobertaConfig, RobertaForMaskedLM

from pipeline.augment import filler as filler_module
from pipeline.augment.distance import log_p_distance
from pipeline.augment.filler import Filler
from pipeline.augment.neighbour import draw_positions
from pipeline.augment.originals import encode_originals
from pipeline.augment.sampler import sample_neighbours
from pipeline.augment.words import token_text, whole_words
from pipeline.models.loading import load_masked_lm

TEXTS = [
    "The filmgoer's joke was so lovely, and never too slow!",
    "a good movie",
    "this was not a very funny cast , but the story is warm .",
    "Bad... so bad",
]
PAIRS = ["so the joke was never too slow!", "A movie, good good", "the cast was funny , the story not", "bad..."]
LOG_PROBS = {"log_p_words", "log_p"}


@pytest.fixture(scope="module")
def model(tiny_masked_lm):
    return load_masked_lm(str(tiny_masked_lm), "generator.model")[0]


@pytest.fixture
def params(make_params):
    def make(alpha=1.0, temperature=1.0, seed=1, **augment):
        augment = {"count": "vocabulary_free", **augment}
        return make_params(alpha=alpha, temperature=temperature, seed=seed, augment=augment)

    return make


def read(tokenizer, texts, pairs=None, side="both", shared="each"):
    ids, labels = [f"o{row}" for row in range(len(texts))], ["good"] * len(texts)
    return encode_originals(ids, texts, pairs, labels, tokenizer, max_length=64, side=side, shared=shared)


@pytest.fixture
def sample(model, tokenizer, params):
    """Rows and counts of neighbours of some texts."""

    def run(texts, samples=5, pairs=None, side="both", shared="each", **changes):
        given = params(side=side, shared=shared, **changes)
        filler = Filler(model, tokenizer, given)
        return sample_neighbours(read(tokenizer, texts, pairs, side, shared), samples, filler, *eq_11(given))

    return run


def eq_11(given, vocabulary=104):
    """What `sample_neighbours` takes of the params: the distances' distribution and the seed."""
    augment = given.augment
    distances = partial(
        log_p_distance, alpha=given.alpha, vocabulary=vocabulary, count=augment.count, min_distance=augment.min_distance
    )
    return distances, given.seed


def split(tokenizer, text):
    backend = tokenizer.backend_tokenizer
    return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text))]


def words_of(tokenizer, row, kind):
    """The words of a row's text or pair: kind is `text` or `original_text`."""
    pair = row[f"{kind}_pair"]
    return split(tokenizer, row[kind]) + (split(tokenizer, pair) if pair is not None else [])


def assert_spans_lead_from_original_to_neighbour(row):
    """Each span is its word, and outside of them both texts are equal but for a blank beside a new word."""
    texts = {0: ("original_text", "text"), 1: ("original_text_pair", "text_pair")}
    assert len(row["old_spans"]) == len(row["new_spans"]) == len(row["positions"])
    for old_word, new_word, old, new in zip(
        row["old_words"], row["new_words"], row["old_spans"], row["new_spans"], strict=True
    ):
        original, neighbour = (row[name] for name in texts[old["side"]])
        assert old["side"] == new["side"]
        assert original[old["start"] : old["end"]] == old_word
        assert neighbour[new["start"] : new["end"]] == new_word
    for side, (original, neighbour) in texts.items():
        if row[original] is None:
            continue
        pattern, cursor = "", 0
        for word, span in zip(row["new_words"], row["old_spans"], strict=True):
            if span["side"] == side:
                pattern += f"{re.escape(row[original][cursor : span['start']])} ?{re.escape(word)} ?"
                cursor = span["end"]
        assert re.fullmatch(pattern + re.escape(row[original][cursor:]), row[neighbour])


@pytest.mark.parametrize("fill", ["parallel", "sequential"])
def test_exactly_the_recorded_words_change(sample, tokenizer, fill):
    rows, counts = sample(TEXTS, samples=20, fill=fill)
    assert len(rows) == 80
    assert counts == {"not_distinct": 0, "too_short": 0}
    for row in rows:
        before, after = words_of(tokenizer, row, "original_text"), words_of(tokenizer, row, "text")
        assert len(before) == len(after) == row["length"]
        assert [i for i in range(len(before)) if before[i] != after[i]] == row["positions"]
        assert len(row["positions"]) == row["distance"] >= 1
        assert [before[i] for i in row["positions"]] == [word.lower() for word in row["old_words"]]
        assert [after[i] for i in row["positions"]] == [word.lower() for word in row["new_words"]]
        assert_spans_lead_from_original_to_neighbour(row)
        assert (row["label"], row["text_pair"], row["original_text_pair"]) == ("good", None, None)
    assert [row["id"] for row in rows[:3]] == ["o0-001", "o0-002", "o0-003"]
    assert [row["original_id"] for row in rows[::20]] == ["o0", "o1", "o2", "o3"]


def test_the_new_words_are_the_drawn_pieces(sample, tokenizer):
    for row in sample(TEXTS, samples=10)[0]:
        encoding = tokenizer(row["text"]).encodings[0]
        for position, word in zip(row["positions"], row["new_words"], strict=True):
            assert [
                token for token, word_id in zip(encoding.tokens, encoding.word_ids, strict=True) if word_id == position
            ] == [word.lower()]


@pytest.mark.parametrize(("side", "positions"), [("both", range(7)), ("first", range(3)), ("second", range(4))])
def test_a_pair_changes_where_it_may(sample, tokenizer, side, positions):
    rows, _ = sample(["a good film"], samples=40, pairs=["the joke was slow"], side=side, alpha=3.0)
    assert {position for row in rows for position in row["positions"]} == set(positions)
    assert {row["length"] for row in rows} == {len(positions)}
    shift = 3 if side == "second" else 0
    for row in rows:
        before, after = words_of(tokenizer, row, "original_text"), words_of(tokenizer, row, "text")
        changed = [i for i in range(7) if before[i] != after[i]]
        assert changed == [position + shift for position in row["positions"]]
        assert [before[i] for i in changed] == row["old_words"]
        assert_spans_lead_from_original_to_neighbour(row)


def shared_words(tokenizer, row):
    """The words that both original texts have."""
    return {*split(tokenizer, row["original_text"])} & {*split(tokenizer, row["original_text_pair"])}


@pytest.mark.parametrize("fill", ["parallel", "sequential"])
def test_a_shared_word_changes_alike_in_all_places(sample, tokenizer, fill):
    rows, counts = sample(TEXTS, samples=30, pairs=PAIRS, shared="alike", fill=fill)
    assert (len(rows), counts) == (120, {"not_distinct": 0, "too_short": 0})
    several = 0
    for row in rows:
        before, after = words_of(tokenizer, row, "original_text"), words_of(tokenizer, row, "text")
        shared = shared_words(tokenizer, row)
        became = {}
        for old, new in zip(before, after, strict=True):
            became.setdefault(old, set()).add(new)
        assert all(len(became[word]) == 1 for word in shared)
        changed = [i for i in range(len(before)) if before[i] != after[i]]
        assert changed == row["positions"]
        assert [after[i] for i in changed] == [word.lower() for word in row["new_words"]]
        units = [i for i in changed if before[i] not in shared or i == before.index(before[i])]
        assert row["distance"] == len(units)
        assert row["length"] == sum(word not in shared for word in before) + len(shared)
        assert_spans_lead_from_original_to_neighbour(row)
        several += len(changed) > len(units)
    assert several > 30


def test_shared_words_are_kept(sample, tokenizer):
    rows, counts = sample(TEXTS, samples=30, pairs=PAIRS, shared="kept", alpha=3.0)
    assert counts == {"not_distinct": 0, "too_short": 0}
    for row in rows:
        shared = shared_words(tokenizer, row)
        before, after = words_of(tokenizer, row, "original_text"), words_of(tokenizer, row, "text")
        assert row["length"] == sum(word not in shared for word in before)
        for old, new in zip(before, after, strict=True):
            assert old == new or old not in shared
        assert len(row["positions"]) == row["distance"]
        assert_spans_lead_from_original_to_neighbour(row)
    # Of the last pair `so` alone is not shared.
    assert {row["length"] for row in rows if row["original_id"] == "o3"} == {1}


def test_a_pair_of_shared_words_alone_is_too_short_or_one_of_few_words(sample):
    given = {"texts": ["a good film", "so"], "pairs": ["film, a good", "so"], "samples": 4}
    rows, counts = sample(**given, shared="kept")
    assert {(row["original_id"], row["old_words"][0]) for row in rows} == {("o0", ",")}
    assert counts["too_short"] == 1
    rows, counts = sample(**given, shared="alike")
    assert {row["length"] for row in rows if row["original_id"] == "o1"} == {1}
    assert all(row["text"] == row["text_pair"] for row in rows if row["original_id"] == "o1")
    assert counts == {"not_distinct": 0, "too_short": 0}


def test_without_shared_words_each_alike_and_kept_are_the_same(sample):
    texts, pairs = ["a good film", "so bad"], ["the joke was slow", "!"]
    for given in ({"texts": TEXTS}, {"texts": texts, "pairs": pairs}):
        one, *others = (sample(**given, shared=shared) for shared in ("each", "alike", "kept"))
        assert others == [one, one]


def test_pairs_changed_alike_depend_on_the_seed_the_id_and_the_sample_alone(sample, model, tokenizer, params):
    together, _ = sample(TEXTS, samples=6, pairs=PAIRS, shared="alike")
    given = params(shared="alike")
    filler = Filler(model, tokenizer, given)
    originals = read(tokenizer, TEXTS, PAIRS, shared="alike")
    alone = [row for original in originals for row in sample_neighbours([original], 6, filler, *eq_11(given))[0]]
    for row, other in zip(together, alone, strict=True):
        assert {key: row[key] for key in row.keys() - LOG_PROBS} == {key: other[key] for key in row.keys() - LOG_PROBS}
        assert row["log_p"] == pytest.approx(other["log_p"], abs=1e-4)
    assert sample(TEXTS, samples=6, pairs=PAIRS, shared="alike")[0] == together
    assert sample(TEXTS, samples=6, pairs=PAIRS, shared="alike", seed=2)[0] != together


@pytest.mark.parametrize("least", [0, 1, 3])
@pytest.mark.parametrize("shared", ["each", "alike"])
def test_the_parts_of_log_p(sample, least, shared):
    pairs = PAIRS if shared == "alike" else None
    rows, _ = sample(TEXTS, samples=10, alpha=0.8, min_distance=least, pairs=pairs, shared=shared)
    for row in rows:
        d, m = row["distance"], row["length"]
        binomial = stats.binom(m, 1 / (1 + math.exp(1 / 0.8)))
        assert row["log_p_distance"] == pytest.approx(binomial.logpmf(d) - binomial.logsf(least - 1))
        assert row["log_p_positions"] == pytest.approx(-math.log(math.comb(m, d)))
        parts = row["log_p_distance"] + row["log_p_positions"] + row["log_p_words"]
        assert row["log_p"] == pytest.approx(parts, rel=1e-12)
    assert min(row["distance"] for row in rows) >= least


def log_p_of_words(model, tokenizer, row, temperature, *, sequential, alike):
    """Eq. 12 by hand: a full forward pass over the text with masks, a softmax over whole words but the old one.

    Where words change alike, the normalised geometric mean of the distributions in all places.
    """
    texts = [row["original_text"], *([row["original_text_pair"]] if row["original_text_pair"] is not None else [])]
    encoding = tokenizer(*texts).encodings[0]
    allowed = whole_words(tokenizer).numpy()
    words = []
    for piece, (side, word) in enumerate(zip(encoding.sequence_ids, encoding.word_ids, strict=True)):
        if word is None:
            continue
        if not words or words[-1][0] != (side, word):
            words.append(((side, word), []))
        words[-1][1].append(piece)
    together = shared_words(tokenizer, row) if alike else set()
    drawn, inside = {}, set()
    for position, old, new in zip(row["positions"], row["old_words"], row["new_words"], strict=True):
        pieces = words[position][1]
        drawn.setdefault(old.lower() if old.lower() in together else position, []).append((pieces, new.lower()))
        inside.update(pieces[1:])
    order_of = {pieces[0]: order for order, places in enumerate(drawn.values()) for pieces, _ in places}
    new_words = [{new for _, new in places} for places in drawn.values()]
    assert all(len(new) == 1 for new in new_words)
    new_token_ids = [tokenizer.convert_tokens_to_ids(*new) for new in new_words]

    def logits(filled):
        ids, types, at = [], [], {}
        for piece, (token, kind) in enumerate(zip(encoding.ids, encoding.type_ids, strict=True)):
            if piece in order_of:
                at[piece] = len(ids)
                token = new_token_ids[order_of[piece]] if order_of[piece] < filled else tokenizer.mask_token_id
            if piece not in inside:
                ids.append(token)
                types.append(kind)
        with torch.no_grad():
            given = {"input_ids": torch.tensor([ids]), "token_type_ids": torch.tensor([types])}
            scores = model(**given).logits[0].double().numpy() / temperature
        return {piece: scores[place] for piece, place in at.items()}

    total = 0.0
    at_once = None if sequential else logits(0)
    for order, places in enumerate(drawn.values()):
        found = logits(order) if at_once is None else at_once
        log_p = np.zeros(len(allowed))
        for pieces, _ in places:
            candidates = allowed.copy()
            if len(pieces) == 1:
                candidates[encoding.ids[pieces[0]]] = False
            log_p += special.log_softmax(np.where(candidates, found[pieces[0]], -np.inf)) / len(places)
        total += special.log_softmax(log_p)[new_token_ids[order]]
    assert np.isfinite(total)
    return total


@pytest.mark.parametrize("fill", ["parallel", "sequential"])
@pytest.mark.parametrize("shared", [None, "each", "alike"])
def test_log_p_words_is_the_models(sample, model, tokenizer, fill, shared):
    given = {"pairs": [TEXTS[1], TEXTS[0], "!", "it was so unlovely"]} if shared == "each" else {}
    if shared == "alike":
        given = {"pairs": PAIRS, "shared": shared}
    rows, _ = sample(TEXTS, samples=4, fill=fill, temperature=0.7, **given)
    for row in rows:
        wanted = log_p_of_words(model, tokenizer, row, 0.7, sequential=fill == "sequential", alike=shared == "alike")
        assert row["log_p_words"] == pytest.approx(wanted, abs=1e-3)


def test_one_at_a_time_differs_where_more_than_one_word_changes(sample):
    (one, _), (other, _) = sample(TEXTS, fill="parallel"), sample(TEXTS, fill="sequential")
    for parallel, sequential in zip(one, other, strict=True):
        assert parallel["positions"] == sequential["positions"]
        if parallel["distance"] == 1:
            assert parallel["new_words"] == sequential["new_words"]
    assert one != other


def test_a_row_does_not_depend_on_other_rows(sample, model, tokenizer, params, monkeypatch):
    together, _ = sample(TEXTS, samples=6)
    given = params()
    filler = Filler(model, tokenizer, given)
    alone = [
        row for original in read(tokenizer, TEXTS) for row in sample_neighbours([original], 6, filler, *eq_11(given))[0]
    ]
    backwards = sample_neighbours(read(tokenizer, TEXTS)[::-1], 6, filler, *eq_11(given))[0]
    monkeypatch.setattr(filler_module, "TOKENS", 40)
    in_small_batches, _ = sample(TEXTS, samples=6)
    fewer, _ = sample(TEXTS, samples=4)
    for others in (alone, backwards, in_small_batches, fewer):
        by_id = {row["id"]: row for row in others}
        for row in together:
            if other := by_id.pop(row["id"], None):
                assert {key: row[key] for key in row.keys() - LOG_PROBS} == {
                    key: other[key] for key in other.keys() - LOG_PROBS
                }
                assert row["log_p"] == pytest.approx(other["log_p"], abs=1e-4)
        assert not by_id


def test_a_seed_gives_the_same_rows_and_another_others(sample):
    one, again, other = (sample(TEXTS, seed=seed)[0] for seed in (3, 3, 4))
    assert one == again
    assert sum(a["text"] != b["text"] for a, b in zip(one, other, strict=True)) > len(one) / 2


def test_neighbours_of_one_original_are_distinct(sample):
    rows, counts = sample(["a good movie"], samples=60, alpha=0.5)
    assert counts["not_distinct"] == 0
    assert len({row["text"] for row in rows}) == 60


@pytest.mark.parametrize("fill", ["parallel", "sequential"])
@pytest.mark.parametrize("text", ["good", "a film", "."])
def test_short_texts_and_sure_models_have_distinct_neighbours_too(sample, text, fill):
    """At this temperature nearly all of the distribution lies on one word, and still there are others."""
    rows, counts = sample([text, "a good movie"], samples=12, temperature=0.002, alpha=0.3, fill=fill)
    assert counts == {"not_distinct": 0, "too_short": 0}
    assert len({row["text"] for row in rows}) == 24
    for row in rows:
        assert row["log_p_words"] <= 0
        assert row["old_words"] != row["new_words"]


@pytest.fixture
def three_words(model, tokenizer, params):
    """A filler that knows `film`, `good` and `a` only."""
    filler = Filler(model, tokenizer, params())
    wanted = tokenizer.convert_tokens_to_ids(["film", "good", "a"])
    filler.allowed = {"": torch.zeros_like(filler.allowed[""]).index_fill(0, torch.tensor(wanted), value=True)}
    return filler


def test_where_there_are_too_few_distinct_ones_they_are_counted(three_words, tokenizer, params):
    """Of one word out of three candidates, itself one of them, there are two neighbours."""
    rows, counts = sample_neighbours(read(tokenizer, ["film"]), 6, three_words, *eq_11(params()))
    assert {row["text"] for row in rows} == {"good", "a"}
    assert counts == {"not_distinct": 4, "too_short": 0}


def test_redraws_find_what_there_is(three_words, tokenizer, params):
    """Two words, three candidates: 2 + 2 + 4 neighbours, five wanted."""
    rows, counts = sample_neighbours(read(tokenizer, ["film good"]), 5, three_words, *eq_11(params(temperature=100)))
    assert counts["not_distinct"] == 0
    assert len({row["text"] for row in rows}) == 5


def test_copies_are_neighbours_if_the_least_distance_is_0(sample):
    rows, counts = sample(["a good movie"], samples=8, alpha=0.1, min_distance=0)
    copies = [row for row in rows if row["distance"] == 0]
    assert counts["not_distinct"] == len(copies) - 1 > 0
    for row in copies:
        assert (row["text"], row["positions"], row["new_words"]) == ("a good movie", [], [])
        assert row["log_p"] == row["log_p_distance"]


@pytest.mark.parametrize("fill", ["parallel", "sequential"])
def test_texts_too_short_are_counted_and_have_none(sample, fill):
    rows, counts = sample([TEXTS[1], TEXTS[0], "", "?"], samples=3, min_distance=4, fill=fill)
    assert {row["original_id"] for row in rows} == {"o1"}
    assert {row["distance"] >= 4 for row in rows} == {True}
    assert counts["too_short"] == 3


def test_nothing_to_sample(sample):
    assert sample([]) == ([], {"not_distinct": 0, "too_short": 0})
    assert sample([""]) == ([], {"not_distinct": 0, "too_short": 1})


@pytest.mark.parametrize("count", ["rescaled", "vocabulary_free"])
def test_distances_and_positions_have_the_distribution(tokenizer, params, count):
    """Eq. 11 conditioned on d ≥ 1, and every position as often as every other."""
    given = params(alpha=0.9, count=count)
    (original,) = read(tokenizer, ["a good film and a warm cast"])
    drawn = [draw_positions(original, number, 0, given.seed, eq_11(given, 100)[0]) for number in range(3000)]
    d = np.arange(8)
    log_words = math.log(99) * (d - d / 0.9) if count == "rescaled" else 0
    weights = special.comb(7, d) * np.exp(log_words - d / 0.9) * (d >= 1)
    expected = 3000 * weights / weights.sum()
    observed = np.bincount([len(neighbour.positions) for neighbour in drawn], minlength=8)
    seldom = expected < 5
    assert observed[0] == 0
    observed = [*observed[~seldom], observed[seldom].sum()]
    expected = [*expected[~seldom], expected[seldom].sum()]
    assert stats.chisquare(observed, expected).pvalue > 0.001
    positions = np.bincount([position for neighbour in drawn for position in neighbour.positions])
    assert stats.chisquare(positions).pvalue > 0.001
    assert all(neighbour.positions == sorted(set(neighbour.positions)) for neighbour in drawn)


def test_the_first_word_of_a_byte_level_text_is_not_its_own_neighbour(byte_level, params):
    """`The` at a text's beginning is another token than ` The` within it, but the same word."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = RobertaConfig(vocab_size=len(byte_level), pad_token_id=1, max_position_embeddings=70, **sizes)
    given = params(temperature=5.0)
    filler = Filler(RobertaForMaskedLM(config), byte_level, given)
    rows, counts = sample_neighbours(read(byte_level, ["The", "film", "café"]), 25, filler, *eq_11(given))
    assert counts["not_distinct"] < 10
    assert len({row["text"] for row in rows}) > 20
    for row in rows:
        assert row["text"] != row["original_text"]
        assert row["text"] in {
            token_text(byte_level, piece) for piece in filler.allowed[""].nonzero().squeeze(1).tolist()
        }


def test_a_model_without_token_types(tokenizer, model, params):
    plain = BertForMaskedLM(model.config).eval()
    plain.load_state_dict(model.state_dict())
    given = params()
    untyped = type(tokenizer)(vocab=tokenizer.get_vocab(), model_input_names=["input_ids", "attention_mask"])
    originals = read(tokenizer, TEXTS)
    typed_rows, _ = sample_neighbours(originals, 3, Filler(model, tokenizer, given), *eq_11(given))
    rows, _ = sample_neighbours([replace(each) for each in originals], 3, Filler(plain, untyped, given), *eq_11(given))
    assert [row["text"] for row in rows] == [row["text"] for row in typed_rows]


@pytest.fixture
def pieces(sentence_piece, params):
    """Rows of neighbours by a model of sentence pieces."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = RobertaForMaskedLM(
        RobertaConfig(vocab_size=len(sentence_piece), pad_token_id=1, max_position_embeddings=70, **sizes)
    )

    def run(texts, samples=25, **changes):
        given = params(**{"temperature": 5.0, "alpha": 2.0, **changes})
        filler = Filler(model, sentence_piece, given)
        return sample_neighbours(read(sentence_piece, texts), samples, filler, *eq_11(given))

    return run


@pytest.mark.parametrize("fill", ["parallel", "sequential"])
@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("这部电影好看，我喜欢！", r"[\u4e00-\u9fff]+"),
        ("私はとても好き。", r"[\u4e00-\u9fff\u3040-\u30ff]+"),
        ("เขาชอบมาก", r"[\u0e00-\u0e7f]+"),
    ],
)
def test_new_pieces_are_of_the_script_they_replace(pieces, text, letters, fill):
    rows, counts = pieces([text], fill=fill)
    assert counts == {"not_distinct": 0, "too_short": 0}
    assert len({row["text"] for row in rows}) == 25
    for row in rows:
        assert_spans_lead_from_original_to_neighbour(row)
        assert " " not in row["text"]
        for old, new in zip(row["old_words"], row["new_words"], strict=True):
            assert old != new
            assert re.fullmatch(letters if re.fullmatch(letters, old) else r"[^\w\s]+", new)
            # Kana stay kana and Chinese characters such, also in one text.
            assert re.search(r"[\u3040-\u30ff]", new) or not re.search(r"[\u3040-\u30ff]", old)


def test_a_replacement_keeps_the_comma(pieces):
    rows, _ = pieces(["the parcel, which was late, arrived"], samples=40)
    alone = {row["text"] for row in rows if row["old_words"] == ["parcel"]}
    assert alone
    assert all(re.fullmatch("the [^,]+, which was late, arrived", text) for text in alone)


def test_new_words_of_an_uncased_generator_have_the_capitals_of_the_old(sample):
    rows, _ = sample(["The FILM was a Good joke, I say. A cast"], samples=60, alpha=3.0)
    seen = set()
    for row in rows:
        for old, new in zip(row["old_words"], row["new_words"], strict=True):
            seen.add(old)
            if old == "FILM":
                assert new == new.upper()
            elif old in ("The", "Good", "A"):
                assert new == new.capitalize()
            else:
                assert new == new.lower()
        assert_spans_lead_from_original_to_neighbour(row)
    assert {"The", "FILM", "Good", "A", "I", "was"} <= seen


def test_a_cased_generator_chooses_the_case_itself(pieces):
    rows, _ = pieces(["The MOVIE was good"], samples=40)
    words = {new for row in rows for new in row["new_words"]}
    assert words
    assert not {word for word in words if word.isupper()}
