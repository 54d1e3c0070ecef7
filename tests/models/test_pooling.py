"""A last layer that pools: the mean over real tokens at the start, all of it trained, and the family's own to open."""

import pytest
import torch
from torch.nn.functional import layer_norm
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    CamembertConfig,
    DistilBertConfig,
    ElectraConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from pipeline.errors import InputError
from pipeline.models.forward_shortcuts import FIRST_TOKEN_FAMILIES
from pipeline.models.layers import new_classifier
from pipeline.models.pooling import check_mean_pooling, with_mean_pooling
from pipeline.models.student import build_student, check_student

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50}
CONFIGS = [
    kind(**SIZES, pad_token_id=0)
    for kind in (BertConfig, CamembertConfig, ElectraConfig, RobertaConfig, XLMRobertaConfig)
]
TOKENS = torch.tensor([[5, 6, 7, 8, 9], [9, 10, 11, 0, 0]])


@pytest.fixture(params=CONFIGS, ids=lambda config: config.model_type)
def model(request):
    torch.manual_seed(0)
    model = new_classifier(request.param)
    with torch.no_grad():
        # LayerNorms that start as one and zero would hide which of them is which.
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def logits(model, tokens=TOKENS):
    return model(input_ids=tokens, attention_mask=(tokens > 0).long()).logits


def head(model, first):
    """The logits for these states of the first token, by the model's own head."""
    states = first[:, None, :]
    if pooler := getattr(model.base_model, "pooler", None):
        return model.classifier(pooler(states))
    return model.classifier(states)


def test_every_family_of_the_table():
    assert sorted(config.model_type for config in CONFIGS) == sorted(FIRST_TOKEN_FAMILIES)


@torch.no_grad()
def test_it_starts_as_the_mean_over_the_real_tokens(model):
    mask = (TOKENS > 0).float()
    states = model.base_model(input_ids=TOKENS, attention_mask=mask.long())[0]
    mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    norm = model.base_model.encoder.layer[-1].output.LayerNorm
    summed = layer_norm(states[:, 0] + mean, (16,), norm.weight, norm.bias, norm.eps)
    expected = head(model, layer_norm(summed, (16,), eps=norm.eps))
    torch.testing.assert_close(logits(with_mean_pooling(model)), expected)


@torch.no_grad()
def test_padding_makes_no_difference(model):
    pooled = with_mean_pooling(model)
    torch.testing.assert_close(logits(pooled, TOKENS[1:, :3]), logits(pooled)[1:])


def test_the_layers_below_are_copied_and_the_model_is_left_alone(model):
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    pooled = with_mean_pooling(model).state_dict()
    assert all(torch.equal(pooled[name], weight) for name, weight in before.items())
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert {name for name in pooled if name not in before} == {
        name.replace("layer.1.", "layer.2.") for name in before if "layer.1." in name
    }


def test_after_a_step_all_of_it_learns(model):
    pooled = with_mean_pooling(model)
    optimizer = torch.optim.SGD(pooled.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits(pooled), torch.tensor([0, 1])).backward()
        optimizer.step()
    gradients = {name: weight.grad for name, weight in pooled.base_model.encoder.layer[-1].named_parameters()}
    # A key's bias moves all scores of a query alike, which attention cannot see.
    gradients.pop("attention.self.key.bias")
    assert all(gradient.abs().max() > 0 for gradient in gradients.values())


@torch.no_grad()
def test_transformers_opens_what_is_saved(model, tmp_path):
    pooled = with_mean_pooling(model)
    pooled.save_pretrained(tmp_path)
    opened = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert opened.config.num_hidden_layers == 3
    torch.testing.assert_close(logits(opened), logits(pooled), rtol=0, atol=0)


def test_a_family_without_such_layers():
    with pytest.raises(InputError) as error:
        check_mean_pooling(DistilBertConfig())
    assert str(error.value) == (
        "student.pooling: got mean, but the student is a distilbert; accepted: first_token, or a student of these "
        "families: bert, camembert, electra, roberta, xlm-roberta"
    )


PREDICTIONS = {"attention": 0, "hidden": 0}


@pytest.mark.parametrize("init", ["teacher", "encoder", "fresh"])
def test_a_student_that_pools(make_params, tiny_classifier, init):
    def build(pooling):
        params = make_params(student={"init": init, "pooling": pooling}, objectives=PREDICTIONS)
        check_student(params)
        return build_student(params, teacher=tiny_classifier, labels=["no", "yes"], pairs=False)

    pooled, plain = build("mean"), build("first_token")
    assert pooled.config.num_hidden_layers == plain.config.num_hidden_layers + 1
    weights = pooled.state_dict()
    assert all(torch.equal(weights[name], weight) for name, weight in plain.state_dict().items())
    assert pooled.config.id2label == {0: "no", 1: "yes"}


def test_a_student_that_cannot_pool_is_refused_before_work(make_params, tmp_path, tokenizer):
    new_classifier(DistilBertConfig(vocab_size=len(tokenizer), dim=16, n_layers=2, n_heads=2)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    student = {"init": "encoder", "model": str(tmp_path), "layers": 1, "pooling": "mean"}
    with pytest.raises(InputError, match=r"^student\.pooling: got mean, but the student is a distilbert; accepted: "):
        check_student(make_params(student=student, objectives=PREDICTIONS))
