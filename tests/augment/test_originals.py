"""Where the words of a text are, and what a text becomes when some of them are replaced."""

import copy
import re
import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from pipeline.augment.originals import encode_originals


def read(tokenizer, text, pair=None, *, max_length=64, side="both", **shared):
    pairs = None if pair is None else [pair]
    return encode_originals(["o"], [text], pairs, ["positive"], tokenizer, max_length=max_length, side=side, **shared)[
        0
    ]


def words(original):
    return [original.word_text(word) for word in original.words]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("the film", ["the", "film"]),
        ("  A filmgoer's  GOOD joke!! ", ["A", "filmgoer", "'", "s", "GOOD", "joke", "!", "!"]),
        ("well-made, naïve café", ["well", "-", "made", ",", "naïve", "café"]),
        ("cafe\u0301, good", ["cafe\u0301", ",", "good"]),
        ("😀 good👍🏽 film", ["😀", "good👍🏽", "film"]),
        ("好film", ["好", "film"]),
        ("?! ...", ["?", "!", ".", ".", "."]),
        ("film", ["film"]),
        ("", []),
        (" \t\n ", []),
    ],
)
def test_words_are_whole_as_written(tokenizer, text, wanted):
    assert words(read(tokenizer, text)) == wanted


def test_a_word_knows_its_tokens(tokenizer):
    original = read(tokenizer, "the filmgoer was good")
    tokens = [
        tokenizer.convert_ids_to_tokens(original.token_ids[word.first_token : word.last_token + 1])
        for word in original.words
    ]
    assert tokens == [["the"], ["film", "##g", "##o", "##er"], ["was"], ["good"]]
    assert original.token_ids == tokenizer("the filmgoer was good")["input_ids"]


@pytest.mark.parametrize(
    ("side", "wanted"),
    [
        ("both", [(0, "a"), (0, "film"), (1, "the"), (1, "joke"), (1, "!")]),
        ("first", [(0, "a"), (0, "film")]),
        ("second", [(1, "the"), (1, "joke"), (1, "!")]),
    ],
)
def test_words_of_a_pair(tokenizer, side, wanted):
    original = read(tokenizer, "a film", "the joke!", side=side)
    assert [(word.side, original.word_text(word)) for word in original.words] == wanted
    assert original.token_type_ids == tokenizer("a film", "the joke!")["token_type_ids"]
    texts, _ = original.replace_words([len(wanted) - 1], ["story"])
    assert texts == (("a story", "the joke!") if side == "first" else ("a film", "the joke story"))


@pytest.mark.parametrize(
    ("shared", "side", "wanted"),
    [
        ("each", "both", ["The", "film", "was", "not", "good", ".", "a", "film", "?", "the", "FILM", "was"]),
        ("each", "second", ["a", "film", "?", "the", "FILM", "was"]),
        ("alike", "both", ["The the", "film film FILM", "was was", "not", "good", ".", "a", "?"]),
        ("kept", "both", ["not", "good", ".", "a", "?"]),
        ("kept", "first", ["not", "good", "."]),
        ("kept", "second", ["a", "?"]),
    ],
)
def test_words_that_both_texts_of_a_pair_have(tokenizer, shared, side, wanted):
    original = read(tokenizer, "The film was not good.", "a film? the FILM was", shared=shared, side=side)
    written = words(original)
    assert [" ".join(written[index] for index in unit) for unit in original.units] == wanted


@pytest.mark.parametrize("shared", ["alike", "kept"])
def test_a_word_that_one_text_has_twice_is_not_shared(tokenizer, shared):
    for pair in (None, "a joke"):
        original = read(tokenizer, "film film", pair, shared=shared)
        assert original == read(tokenizer, "film film", pair)
        assert original.units == [(index,) for index in range(len(original.words))]


def test_the_side_of_a_single_text_is_the_text(tokenizer):
    assert words(read(tokenizer, "a film", side="second")) == ["a", "film"]


@given(
    st.lists(st.sampled_from(["film", "filmgoer", "unlovely", "a", "!", "it's"]), min_size=1, max_size=14),
    st.lists(st.sampled_from(["film", "filmgoer", "unlovely", "a", "!", "it's"]), min_size=1, max_size=14),
    st.integers(8, 24),
    st.booleans(),
)
def test_a_text_that_is_cut_has_no_half_words(tokenizer, first, second, max_length, paired):
    texts = (" ".join(first), " ".join(second) if paired else None)
    cut, whole = read(tokenizer, *texts, max_length=max_length), read(tokenizer, *texts, max_length=1000)
    assert len(cut.token_ids) == min(max_length, len(whole.token_ids))
    spans = [(word.side, word.start, word.end) for word in whole.words]
    assert all((word.side, word.start, word.end) in spans for word in cut.words)
    if len(whole.token_ids) <= max_length:
        assert cut == whole


def test_a_side_that_is_not_cut_keeps_its_last_word(tokenizer):
    original = read(tokenizer, "a good film and a dull story " * 3, "so funny", max_length=14)
    assert original.words[-1].end == len("so funny")


def test_a_text_that_is_cut_on_the_left_has_no_half_word_there(tokenizer):
    left = copy.deepcopy(tokenizer)
    left.truncation_side = "left"
    text = "unforgettable film"
    whole = read(left, text, max_length=100)
    for length in range(3, len(whole.token_ids)):
        assert {word.start for word in read(left, text, max_length=length).words} <= {
            word.start for word in whole.words
        }


def test_ten_thousand_words(tokenizer):
    original = read(tokenizer, "a good film , " * 2500, max_length=20_000)
    assert len(original.words) == 10_000
    assert original.words[-1].last_token == 10_000
    changed = list(range(1, 10_000, 4))
    assert original.replace_words(changed, ["bad"] * 2500)[0] == ("a bad film , " * 2500,)
    assert len(read(tokenizer, "a good film , " * 2500).words) == 61


def test_words_of_a_byte_level_vocabulary(byte_level):
    text = "The  café's film, 😀 it <mask> was"
    wanted = ["The", "café", "'s", "film", ",", "😀", "it", "was"]
    assert words(read(byte_level, text)) == wanted
    # ModernBERT and others do not trim the blank before a word from its span.
    backend = type(byte_level.backend_tokenizer).from_str(byte_level.backend_tokenizer.to_str())
    backend.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    untrimmed = PreTrainedTokenizerFast(tokenizer_object=backend, cls_token="<s>", sep_token="</s>", pad_token="<pad>")
    assert words(read(untrimmed, text)) == wanted


@pytest.mark.parametrize(
    ("text", "changed", "new", "wanted"),
    [
        ("It's  GOOD !", [3], ["bad"], "It's  bad !"),
        ("It's good", [1], ["film"], "It film s good"),
        ("It's good", [0, 1, 2], ["a", "film", "!"], "a film! good"),
        ("It's good", [1], ["-"], "It-s good"),
        ("good", [0], ["bad"], "bad"),
        ("(good)", [0, 2], ["a", "b"], "a good b"),
        ("\tgood \n film ", [0, 1], ["bad", "joke"], "\tbad \n joke "),
        ("it's", [1], ["°"], "it ° s"),
        ("好看", [0], ["大"], "大看"),
        ("cafe\u0301 !", [0], ["film"], "film !"),
    ],
)
def test_replaced_by_hand(tokenizer, text, changed, new, wanted):
    (written,), spans = read(tokenizer, text).replace_words(changed, new)
    assert written == wanted
    assert [written[span.start : span.end] for span in spans] == new


# Letters, marks, numbers, punctuation and symbols of all scripts, and blanks. BERT deletes what is none of these.
characters = st.one_of(
    st.sampled_from("abcdefilm 's!.,-°²éß好ー😀\u0301\u093f  "),
    st.characters(categories=["L", "M", "N", "P", "S", "Zs"], max_codepoint=0xFFFF),
)


def split(tokenizer, text):
    """The words of a text by BERT's own normaliser and pre-tokenizer."""
    backend = tokenizer.backend_tokenizer
    return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text))]


@given(st.text(characters, max_size=30), st.data())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_replaced_changes_these_words_and_nothing_else(tokenizer, text, data):
    assume(not any(token in text for token in tokenizer.all_special_tokens))
    original = read(tokenizer, text)
    count = len(original.words)
    changed = sorted(data.draw(st.sets(st.integers(0, count - 1)) if count else st.just(set())))
    new = data.draw(
        st.lists(st.sampled_from(["film", "q", "!", "°", "é", "7", "好"]), min_size=len(changed), max_size=len(changed))
    )
    (written,), spans = original.replace_words(changed, new)

    # The text between the changed words is unchanged, except for at most one blank on each side of them.
    ends = [0, *(original.words[position].end for position in changed)]
    starts = [*(original.words[position].start for position in changed), len(text)]
    between = [re.escape(text[end:start]) for end, start in zip(ends, starts, strict=True)]
    pattern = between[0] + "".join(
        f"( ?){re.escape(word)}( ?){after}" for word, after in zip(new, between[1:], strict=True)
    )
    match = re.fullmatch(pattern, written, re.DOTALL)
    assert match, (written, pattern)
    assert [(span.side, written[span.start : span.end]) for span in spans] == [(0, word) for word in new]

    # As BERT splits it, the changed words are the new ones and no others are touched.
    wanted = split(tokenizer, text)
    assert len(wanted) == count
    for position, word in zip(changed, new, strict=True):
        wanted[position] = split(tokenizer, word)[0]
    assert split(tokenizer, written) == wanted


@given(st.text(characters.filter(lambda character: unicodedata.category(character) != "Mn"), max_size=12), st.data())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_no_blank_that_is_not_needed(tokenizer, text, data):
    original = read(tokenizer, text)
    assume(original.words)
    position = data.draw(st.integers(0, len(original.words) - 1))
    word = original.words[position]
    new = data.draw(st.sampled_from(["film", "!", "°"]))
    before, after = text[: word.start], text[word.end :]
    (written,), _ = original.replace_words([position], [new])
    for gap in re.fullmatch(f"{re.escape(before)}( ?){new}( ?){re.escape(after)}", written, re.DOTALL).regs[1:]:
        if gap[0] < gap[1]:
            without = written[: gap[0]] + written[gap[1] :]
            assert split(tokenizer, without) != split(tokenizer, written)
