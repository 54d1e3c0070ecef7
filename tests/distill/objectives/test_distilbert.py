"""DistilBERT's losses: cosines by hand and against SciPy, masked words against transformers' own masked-LM."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cosine
from transformers import BertForMaskedLM, BertForSequenceClassification, ElectraConfig, ElectraForSequenceClassification

from pipeline.compute.batching import collate, encode
from pipeline.distill.objectives.distilbert import MaskedLM, cosine_loss
from pipeline.errors import InputError

TEXTS = ["the plot is dull and the ending is very , very slow .", "a good film", "this movie was never funny !"]


def test_cosine_by_hand():
    """Right angles lose 1, half of that angle 1 − 1/√2, the same direction 0, the opposite one 2."""
    student = torch.tensor([[[1.0, 0.0], [3.0, 3.0]], [[0.0, 5.0], [2.0, 1.0]]])
    teacher = torch.tensor([[[0.0, 2.0], [1.0, 0.0]], [[0.0, 1.0], [-4.0, -2.0]]])
    wanted = torch.tensor([(1 + 1 - math.sqrt(0.5)) / 2, (0 + 2) / 2])
    torch.testing.assert_close(cosine_loss(student, teacher, torch.ones(2, 2)), wanted)


@given(st.integers(0, 1000), st.integers(1, 4), st.integers(0, 3))
def test_cosine_is_the_mean_over_a_text_s_own_tokens(seed, tokens, more):
    draw = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(1, tokens + more, 6, generator=draw) for _ in range(2))
    mask = (torch.arange(tokens + more) < tokens).long()[None]
    # The cache has zeros at padding.
    teacher[:, tokens:] = 0
    wanted = sum(cosine(student[0, token], teacher[0, token]) for token in range(tokens)) / tokens
    found = cosine_loss(student, teacher.half(), mask)
    torch.testing.assert_close(found, torch.tensor([wanted], dtype=torch.float32), rtol=2e-3, atol=2e-3)


def test_cosine_at_padding_has_no_gradient():
    student = torch.rand(1, 3, 4, requires_grad=True)
    teacher = torch.rand(1, 3, 4)
    teacher[0, 2] = 0
    cosine_loss(student, teacher, torch.tensor([[1, 1, 0]])).sum().backward()
    assert (student.grad[0, 2] == 0).all()
    assert (student.grad[0, :2] != 0).all()


@pytest.fixture
def student(saved):
    return BertForSequenceClassification.from_pretrained(saved(BertForSequenceClassification, layer_norm_eps=1e-5))


def batch_of(tokenizer, texts=TEXTS):
    return collate(encode(tokenizer, texts, None, 64), range(len(texts)))


def with_weights(head):
    """The head with weights as if it had learnt."""
    with torch.no_grad():
        for weight in head.parameters():
            weight.normal_(std=0.5)
    return head


def hide(head, monkeypatch, hidden):
    monkeypatch.setattr(head, "draw_mask", lambda tokens: hidden[:, : tokens.shape[1]])


@torch.no_grad()
def test_masked_words_as_transformers_has_them(student, tokenizer, monkeypatch):
    """The same encoder and head in a BertForMaskedLM, text by text and without padding."""
    head = with_weights(MaskedLM(student, tokenizer))
    inputs = batch_of(tokenizer)
    hidden = torch.zeros_like(inputs["input_ids"], dtype=torch.bool)
    hidden[0, [1, 4, 5]] = hidden[1, 2] = hidden[2, [3, 6]] = True
    hide(head, monkeypatch, hidden)
    loss = head.loss(student, inputs)

    whole = BertForMaskedLM(student.config).eval()
    whole.bert.load_state_dict({k: v for k, v in student.bert.state_dict().items() if not k.startswith("pooler")})
    whole.cls.predictions.transform.dense.load_state_dict(head.dense.state_dict())
    whole.cls.predictions.transform.LayerNorm.load_state_dict(head.norm.state_dict())
    whole.cls.predictions.bias.copy_(head.bias)
    whole.tie_weights()
    for row in range(3):
        real = inputs["attention_mask"][row].bool()
        tokens, covered = inputs["input_ids"][row, real], hidden[row, real]
        given = whole(
            tokens.masked_fill(covered, tokenizer.mask_token_id)[None],
            labels=tokens.masked_fill(~covered, -100)[None],
        )
        torch.testing.assert_close(loss[row], given.loss)


def test_which_words_are_hidden(student, tokenizer):
    """About 15 % of words, each by chance, and no special token ever; the same seed hides the same."""
    head = MaskedLM(student, tokenizer)
    tokens = batch_of(tokenizer)["input_ids"].repeat(200, 1)
    torch.manual_seed(1)
    hidden = head.draw_mask(tokens)
    words = tokens > tokenizer.mask_token_id
    assert not hidden[~words].any()
    assert hidden[words].float().mean().item() == pytest.approx(0.15, abs=0.02)
    assert not torch.equal(hidden, head.draw_mask(tokens))
    torch.manual_seed(1)
    assert torch.equal(hidden, head.draw_mask(tokens))


def test_what_is_hidden_is_not_seen(student, tokenizer, monkeypatch):
    """Another word in its place changes what is to be guessed, not what the student sees."""
    head, inputs, seen = MaskedLM(student, tokenizer), batch_of(tokenizer), []
    hidden = torch.zeros_like(inputs["input_ids"], dtype=torch.bool)
    hidden[:, 2] = True
    hide(head, monkeypatch, hidden)
    hook = student.bert.register_forward_pre_hook(
        lambda _m, _a, given: seen.append(given["input_ids"]), with_kwargs=True
    )
    head.loss(student, inputs)
    hook.remove()
    assert (seen[0][:, 2] == tokenizer.mask_token_id).all()
    assert torch.equal(seen[0][~hidden], inputs["input_ids"][~hidden])


@pytest.mark.parametrize("rows", [[0], [0, 1, 2]])
def test_texts_of_which_nothing_is_hidden(student, tokenizer, monkeypatch, rows):
    """They lose 0, and a batch of such texts can still be learnt from."""
    head, inputs = MaskedLM(student, tokenizer), batch_of(tokenizer)
    hidden = inputs["input_ids"] > tokenizer.mask_token_id
    hidden[rows] = False
    hide(head, monkeypatch, hidden)
    loss = head.loss(student, inputs)
    assert (loss == 0).nonzero().flatten().tolist() == rows
    loss.sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in head.parameters())


def test_head_and_student_learn(student, tokenizer, monkeypatch):
    """The decoder is the student's own word embeddings."""
    head, inputs = with_weights(MaskedLM(student, tokenizer)), batch_of(tokenizer)
    hide(head, monkeypatch, inputs["input_ids"] > tokenizer.mask_token_id)
    head.loss(student, inputs).sum().backward()
    assert all((weight.grad != 0).any() for weight in head.parameters())
    gradient = student.bert.embeddings.word_embeddings.weight.grad
    # Also of words that are in none of the texts: they are among the wrong guesses.
    assert (gradient[len(tokenizer) - 1] != 0).any()
    assert not {id(weight) for weight in head.parameters()} & {id(weight) for weight in student.parameters()}


def test_embeddings_of_another_width_than_the_states(tokenizer):
    """ELECTRA's words are narrower than its states."""
    config = ElectraConfig(
        vocab_size=len(tokenizer), embedding_size=12, hidden_size=32, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=16,
    )  # fmt: skip
    small = ElectraForSequenceClassification(config).eval()
    head = MaskedLM(small, tokenizer)
    loss = head.loss(small, batch_of(tokenizer, TEXTS * 5))
    # Guesses of an untrained model are as good as any.
    assert loss[loss > 0].mean().item() == pytest.approx(math.log(len(tokenizer)), rel=0.2)


def test_a_tokenizer_without_a_mask_token(tiny_classifier, tokenizer):
    without = copy.deepcopy(tokenizer)
    without.mask_token = None
    model = BertForSequenceClassification.from_pretrained(tiny_classifier)
    with pytest.raises(InputError, match=r"objectives\.masked_lm: .*no mask token; accepted: 0"):
        MaskedLM(model, without)
