"""Units that student and teacher compare: against loops over characters and tokens, and examples written by hand."""

from itertools import combinations

import numpy as np
import pytest
import torch
from helpers import pooled_by_hand
from helpers.tiny_tokenizers import FAMILIES, SEPARATORS, tiny_tokenizer

from pipeline.compute.batching import calls, encode
from pipeline.distill.alignment import LEFT_OUT, Alignment, Units, align
from pipeline.distill.objectives import distilbert, l2a, minilm
from pipeline.models.forward import States

TEXTS = [
    "the film is good",
    "The Unbelievably boring ending!",
    "  a   joke ,good\tfilm \n",
    "café naïve cafe\u0301 ﬁlm ½",
    "你好 世界好",
    "a joke 😀😀 film👩‍🚀",
    "a\x00b wo\u200brd \x07 the",
    "the </s> film [SEP] <s> joke",
    "",
    " ",
    "\x07",
    "a",
    "good " * 12,
]
PAIRS = TEXTS[::-1]


def encoded(family, text, pair, max_length):
    """A batch of one text: without a batch an empty second text is none."""
    return tiny_tokenizer(family)(
        [text],
        None if pair is None else [pair],
        truncation="longest_first",
        max_length=max_length,
        return_offsets_mapping=True,
    )


def read(family, text, pair, max_length):
    """Each token as (part, number of the special token, first and last character), and whether the text may be cut."""
    encoding = encoded(family, text, pair, max_length)
    roles = ["begin", *["between"] * (SEPARATORS[family] if pair is not None else 0), "end"]
    tokens = []
    for sequence, (start, end) in zip(encoding.sequence_ids(0), encoding["offset_mapping"][0], strict=True):
        if sequence is None:
            role = roles.pop(0)
            tokens.append((role, sum(token[0] == role for token in tokens), 0, 0))
        else:
            characters = [at for at in range(start, end) if not (text, pair)[sequence][at].isspace()]
            tokens.append((sequence, 0, characters[0], characters[-1]) if characters else (sequence, 0, 0, -1))
    # A token without characters takes those of the token after it in the same text.
    for index in reversed(range(len(tokens) - 1)):
        if tokens[index][3] == -1 and tokens[index + 1][0] == tokens[index][0]:
            tokens[index] = tokens[index + 1]
    return tokens, len(tokens) == max_length


def meet(one, other, *, separators_alike):
    """Whether two tokens are in one unit because of what they cover."""
    if one[0] != other[0] or -1 in (one[3], other[3]):
        return False
    if one[0] in (0, 1):
        return one[2] <= other[3] and other[2] <= one[3]
    return one[1] == other[1] or not separators_alike


def by_hand(student, teacher, text, pair, max_length):
    """The unit of each token of both: groups are grown by whatever token overlaps with one in them."""
    sides = [read(family, text, pair, max_length) for family in (student, teacher)]
    alike = SEPARATORS[student] == SEPARATORS[teacher]
    left = [(side, index) for side in (0, 1) for index in range(len(sides[side][0]))]
    shared = []
    while left:
        group = [left.pop(0)]
        for side, index in group:
            for other in list(left):
                token, neighbour = sides[side][0][index], sides[other[0]][0][other[1]]
                if meet(token, neighbour, separators_alike=alike):
                    group.append(other)
                    left.remove(other)
        tokens = [sides[side][0][index] for side, index in group]
        part, begin, end = tokens[0][0], min(token[2] for token in tokens), max(token[3] for token in tokens)
        read_by_all = True
        for family, (side, cut) in zip((student, teacher), sides, strict=True):
            of_part = [token for token in side if token[0] == part and token[3] >= 0]
            if cut and tiny_tokenizer(family).truncation_side == "left":
                read_by_all &= begin >= min((token[2] for token in of_part), default=begin)
            elif cut:
                read_by_all &= end <= max((token[3] for token in of_part), default=-1)
        if {side for side, _ in group} == {0, 1} and read_by_all:
            place = ("begin", 0, "between", 1, "end").index(part)
            shared.append((place, min(token[1:3] for token in tokens), group))
    found = [[LEFT_OUT] * len(tokens) for tokens, _ in sides]
    for number, (_, _, group) in enumerate(sorted(shared)):
        for side, index in group:
            found[side][index] = number
    return tuple(found)


def units(side, row):
    return side[row].tolist()


@pytest.mark.parametrize("max_length", [8, 13, 64])
@pytest.mark.parametrize("pairs", [None, PAIRS], ids=["single", "pairs"])
@pytest.mark.parametrize(("student", "teacher"), [*combinations(FAMILIES, 2)])
def test_units_of_any_two_families(student, teacher, pairs, max_length):
    found = align(tiny_tokenizer(student), tiny_tokenizer(teacher), calls(TEXTS, pairs), max_length)
    back = align(tiny_tokenizer(teacher), tiny_tokenizer(student), calls(TEXTS, pairs), max_length)
    for row, text in enumerate(TEXTS):
        expected = by_hand(student, teacher, text, pairs and pairs[row], max_length)
        assert (units(found.student, row), units(found.teacher, row)) == expected, (text, pairs and pairs[row])
        assert (units(back.teacher, row), units(back.student, row)) == expected, text


@pytest.mark.parametrize("left", [["bert"], ["roberta"], ["bert", "roberta"]], ids=" and ".join)
@pytest.mark.parametrize("pairs", [None, PAIRS], ids=["single", "pairs"])
def test_beginnings_that_are_cut_off(left, pairs, monkeypatch):
    for family in left:
        monkeypatch.setattr(tiny_tokenizer(family), "truncation_side", "left")
    cut = 0
    for max_length in range(6, 14):
        found = align(tiny_tokenizer("bert"), tiny_tokenizer("roberta"), calls(TEXTS, pairs), max_length)
        for row, text in enumerate(TEXTS):
            expected = by_hand("bert", "roberta", text, pairs and pairs[row], max_length)
            assert (units(found.student, row), units(found.teacher, row)) == expected, (text, max_length)
            cut += sum(side.count(LEFT_OUT) for side in expected)
    assert cut > 100


def shown(student, teacher, text, pair, max_length):
    """The units of both side by side, as tokens, and the tokens that have none."""
    pairs = None if pair is None else [pair]
    found = align(tiny_tokenizer(student), tiny_tokenizer(teacher), calls([text], pairs), max_length)
    sides, alone = [], []
    for family, side in ((student, found.student), (teacher, found.teacher)):
        tokens = encoded(family, text, pair, max_length).tokens()
        numbers = units(side, 0)
        sides.append([[t for t, n in zip(tokens, numbers, strict=True) if n == u] for u in range(max(numbers) + 1)])
        alone += [t for t, n in zip(tokens, numbers, strict=True) if n == LEFT_OUT]
    both = [f"{' '.join(one)} = {' '.join(other)}" for one, other in zip(*sides, strict=True)]
    return "; ".join(both), " ".join(alone)


EXAMPLES = [
    # One way of cutting: token by token, and one separator with both of the other.
    ("bert", "mpnet", "the film", None, 64, "[CLS] = <s>; the = the; film = film; [SEP] = </s>", ""),
    ("bert", "mpnet", "a", "film", 64, "[CLS] = <s>; a = a; [SEP] = </s> </s>; film = film; [SEP] = </s>", ""),
    ("roberta", "xlm_roberta", "a", "", 64, "<s> = <s>; a = ▁a; </s> = </s>; </s> = </s>; </s> = </s>", ""),
    # A space belongs to the word that it begins, however it is spelt; one at the end to none.
    ("bert", "roberta", "film  film", None, 64, "[CLS] = <s>; film = fi lm; film = Ġ Ġ fi lm; [SEP] = </s>", ""),
    ("modernbert", "albert", "a  so ", None, 64, "[CLS] = [CLS]; a = ▁a; Ġ Ġs = ▁ s; o = o; [SEP] = [SEP]", "Ġ ▁"),
    # Bytes of one character.
    ("bert", "roberta", "好😀", None, 64, "[CLS] = <s>; 好 = å ¥ ½; [UNK] = ð Ł ĺ Ģ; [SEP] = </s>", ""),
    # Case and accents; characters that one of both drops.
    ("bert", "bert_cased", "The é", None, 64, "[CLS] = [CLS]; the = The; e = é; [SEP] = [SEP]", ""),
    ("bert", "modernbert", "a\x07", None, 64, "[CLS] = [CLS]; a = a; [SEP] = [SEP]", "ć"),
    # Words that one of both has not read, or not to the end.
    ("bert", "albert", "a good film", None, 7, "[CLS] = [CLS]; a = ▁a; good = ▁ g oo d; [SEP] = [SEP]", "film"),
    ("bert", "albert", "a good film", None, 8, "[CLS] = [CLS]; a = ▁a; good = ▁ g oo d; [SEP] = [SEP]", "film ▁fi"),
    ("bert", "albert", "a good", None, 6, "[CLS] = [CLS]; a = ▁a; [SEP] = [SEP]", "good ▁ g oo"),
]


@pytest.mark.parametrize(("student", "teacher", "text", "pair", "max_length", "both", "alone"), EXAMPLES)
def test_examples(student, teacher, text, pair, max_length, both, alone):
    assert shown(student, teacher, text, pair, max_length) == (both, alone)


def test_texts_of_several_calls_and_long_ones(monkeypatch):
    """Each text is numbered on its own, in few bytes."""
    tokenizers = tiny_tokenizer("bert"), tiny_tokenizer("roberta")
    whole = align(*tokenizers, calls(TEXTS, PAIRS), 64)
    assert whole.student.values.dtype == whole.teacher.values.dtype == np.int16
    assert whole.student.lengths.tolist() == encode(tokenizers[0], TEXTS, PAIRS, 64).lengths.tolist()
    assert whole.teacher.lengths.tolist() == encode(tokenizers[1], TEXTS, PAIRS, 64).lengths.tolist()
    monkeypatch.setattr("pipeline.compute.batching.TEXTS_PER_CALL", 4)
    parts = align(*tokenizers, calls(TEXTS, PAIRS), 64)
    for one, other in ((whole.student, parts.student), (whole.teacher, parts.teacher)):
        assert one.values.tolist() == other.values.tolist()
        assert one.starts.tolist() == other.starts.tolist()
    long = align(*tokenizers, calls(["a " * 40_000], None), 100_000)
    assert long.student.values.tolist() == [*range(40_002)]


def states_of(side, rows, seed):
    """Random states of padded texts: probabilities in attention, and large numbers where there is no token."""
    draw = torch.Generator().manual_seed(seed)
    mask = side.batch(rows)[1].bool()
    shape = mask.shape
    weights = torch.rand(shape[0], 2, shape[1], shape[1], generator=draw) * mask[:, None, None]
    padding = 100.0 * ~mask

    def vectors(*sizes):
        return torch.randn(*sizes, generator=draw) + padding.view(shape[0], *[1] * (len(sizes) - 3), shape[1], 1)

    def scores():
        noise = torch.randn(shape[0], 2, shape[1], shape[1], generator=draw)
        return noise + padding[:, None, None] + padding[:, None, :, None]

    return States(
        logits=torch.randn(shape[0], 3, generator=draw),
        hidden=vectors(*shape, 6),
        attention=(weights / weights.sum(-1, keepdim=True)).half(),
        values=vectors(shape[0], 2, shape[1], 3),
        layers=(vectors(*shape, 6), vectors(*shape, 6)),
        scores=(scores(),),
    )


def pooled(states, numbers, row):
    """The states of one text's units by name, unit by unit."""
    return {
        "hidden": pooled_by_hand.vectors(states.hidden[row], numbers),
        "attention": pooled_by_hand.attention(states.attention[row], numbers),
        "values": pooled_by_hand.vectors(states.values[row], numbers),
        **{f"layer {i}": pooled_by_hand.vectors(layer[row], numbers) for i, layer in enumerate(states.layers)},
        **{f"scores {i}": pooled_by_hand.scores(layer[row], numbers) for i, layer in enumerate(states.scores)},
    }


def fields(states, row, count):
    """The states of one text's first units, by the same names."""
    return {
        "hidden": states.hidden[row, :count],
        "attention": states.attention[row, :, :count, :count],
        "values": states.values[row, :, :count],
        **{f"layer {number}": layer[row, :count] for number, layer in enumerate(states.layers)},
        **{f"scores {number}": layer[row, :, :count, :count] for number, layer in enumerate(states.scores)},
    }


@pytest.mark.parametrize("max_length", [8, 64])
@pytest.mark.parametrize(("student", "teacher"), [("bert", "roberta"), ("mpnet", "bert"), ("albert", "modernbert")])
def test_pooled_states(student, teacher, max_length):
    found = align(tiny_tokenizer(student), tiny_tokenizer(teacher), calls(TEXTS, PAIRS), max_length)
    rows = np.array([4, 0, 8, 3])
    states = states_of(found.student, rows, 1), states_of(found.teacher, rows, 2)
    *both, mask = found.pool(rows, *states)
    for side, before, after in zip((found.student, found.teacher), states, both, strict=True):
        assert torch.equal(after.logits, before.logits)
        for place, row in enumerate(rows):
            numbers = units(side, row)
            count = max(numbers) + 1
            assert mask[place].tolist() == [1] * count + [0] * (mask.shape[1] - count)
            expected, actual = pooled(before, numbers, place), fields(after, place, count)
            for name, value in expected.items():
                said = f"{name} of {TEXTS[row]!r}"
                torch.testing.assert_close(actual[name].float(), value, rtol=2e-3, atol=1e-3, msg=said)
            sums = actual["attention"].float().sum(-1)
            torch.testing.assert_close(sums, torch.ones_like(sums), rtol=1e-3, atol=1e-3)


def test_states_that_nobody_asked_for_stay_empty():
    found = align(tiny_tokenizer("bert"), tiny_tokenizer("roberta"), calls(["good film"], None), 64)
    student, teacher, _ = found.pool(np.array([0]), States(torch.zeros(1, 2)), States(torch.zeros(1, 2)))
    for states in (student, teacher):
        assert not any(getattr(states, name).numel() for name in ("hidden", "attention", "values"))
        assert (states.layers, states.scores) == ((), ())


def test_tokens_that_go_one_to_one_are_not_touched():
    """The teacher's second separator is the only difference; of single texts not even that is there."""
    tokenizers = tiny_tokenizer("bert"), tiny_tokenizer("mpnet")
    texts, rows = ["the good film", "a joke"], np.array([0, 1])
    single, paired = align(*tokenizers, calls(texts, None), 64), align(*tokenizers, calls(texts, texts), 64)
    states = states_of(single.student, rows, 1), states_of(single.teacher, rows, 2)
    student, teacher, mask = single.pool(rows, *states)
    assert student is states[0]
    assert teacher is states[1]
    assert torch.equal(mask, single.student.batch(rows)[1])
    states = states_of(paired.student, rows, 1), states_of(paired.teacher, rows, 2)
    student, teacher, _ = paired.pool(rows, *states)
    assert student is states[0]
    assert teacher.hidden.shape[1] == states[1].hidden.shape[1] - 1


def test_a_text_of_which_nothing_is_read_by_both():
    """Its losses are 0, and those of other texts what they are without it."""
    sides = [Units(np.array(numbers, np.int16), np.array([0, 2, 4])) for numbers in ([0, 1, -1, -1], [0, 1, -1, -1])]
    rows = np.array([0, 1])
    states = states_of(sides[0], rows, 1), states_of(sides[1], rows, 2)
    student, teacher, mask = Alignment(*sides).pool(rows, *states)
    assert mask.tolist() == [[1, 1], [0, 0]]
    losses = (
        l2a.attention_loss(student.attention, teacher.attention, mask),
        l2a.hidden_loss(student.hidden, teacher.hidden, mask),
        distilbert.cosine_loss(student.hidden, teacher.hidden, mask),
        minilm.relations_loss(student, teacher, mask),
    )
    for loss in losses:
        assert loss[0] > 0
        assert loss[1] == 0
