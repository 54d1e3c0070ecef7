"""Mean and deviation of labels: numbers are standardised with them, and a model's head takes them in."""

import numpy as np
import pytest
import torch
from helpers.families import FAMILIES, REFUSED, tiny_family_config
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertForSequenceClassification, BertModel

from pipeline.errors import InputError
from pipeline.models.attention import sample_inputs
from pipeline.models.bilstm import BiLSTMConfig
from pipeline.models.label_scale import UNSCALED, LabelScale, last_linear
from pipeline.models.layers import new_classifier
from pipeline.models.loading import load_classifier
from pipeline.models.student import build_student

STARS = LabelScale(3.25, 1.5)
YEARS = LabelScale(1970.0, 11.5)


@torch.no_grad()
def answers(model):
    return model.eval()(**sample_inputs(model)).logits


def test_the_scale_is_mean_and_deviation():
    scale = LabelScale.of(np.array([1, 1, 4, 6], np.float32), [])
    assert scale == LabelScale(3.0, np.sqrt(4.5))
    assert LabelScale.of(np.array([7, 7], np.float32), []) == LabelScale(7.0, 1.0)
    assert LabelScale.of(np.array([0, 1, 1]), ["no", "yes"]) == UNSCALED


@given(
    st.lists(st.integers(-50, 50), min_size=2, max_size=20, unique=True), st.integers(-3000, 3000), st.integers(1, 9)
)
def test_shifted_and_stretched_labels_are_the_same_once_standardised(numbers, shift, factor):
    labels = np.array(numbers, np.float32)
    other = labels * factor + shift
    standardised, same = (LabelScale.of(each, []).standardised(each) for each in (labels, other))
    np.testing.assert_allclose(standardised, same, atol=1e-6)
    assert standardised.dtype == np.float32
    np.testing.assert_allclose([standardised.mean(), standardised.std()], [0, 1], atol=1e-6)
    tensor = LabelScale.of(labels, []).standardised(torch.from_numpy(labels))
    np.testing.assert_array_equal(tensor.numpy(), standardised)


def test_class_indices_stay_as_they_are():
    assert UNSCALED.standardised(np.array([0, 2])).tolist() == [0, 2]
    model = torch.nn.Module()
    UNSCALED.put_into_head(model)
    UNSCALED.standardise_head(model)


@pytest.mark.parametrize("family", [*sorted(set(FAMILIES) - REFUSED), "bilstm"])
def test_every_family_takes_it_into_its_head(family, tokenizer):
    config = BiLSTMConfig(len(tokenizer), 12, 8, 6) if family == "bilstm" else tiny_family_config(family, tokenizer)
    config.num_labels = 1
    torch.manual_seed(0)
    model = new_classifier(config)
    before = answers(model)
    YEARS.put_into_head(model)
    torch.testing.assert_close(answers(model), before * 11.5 + 1970, rtol=1e-6, atol=2e-4)
    YEARS.standardise_head(model)
    torch.testing.assert_close(answers(model), before, rtol=0, atol=2e-5)


def test_a_head_without_a_bias_is_refused(saved):
    model = load_classifier(saved(BertModel), "teacher", [])
    model.classifier = torch.nn.Linear(32, 1, bias=False)
    with pytest.raises(InputError, match=r"task: got regression, but the head of bert models"):
        last_linear(model)


def test_a_new_head_answers_in_the_unit_and_a_trained_one_is_left(saved):
    def loaded(folder, scale):
        torch.manual_seed(0)
        return load_classifier(folder, "teacher", [], scale)

    encoder, trained = saved(BertModel), saved(BertForSequenceClassification, num_labels=1)
    torch.testing.assert_close(answers(loaded(encoder, STARS)), answers(loaded(encoder, UNSCALED)) * 1.5 + 3.25)
    torch.testing.assert_close(answers(loaded(trained, STARS)), answers(loaded(trained, UNSCALED)), rtol=0, atol=0)


@pytest.mark.parametrize("student", [{"init": "fresh", "hidden": 32, "heads": 4}, {"init": "bilstm"}])
def test_a_random_student_answers_in_the_unit(make_params, tiny_encoder, student):
    off = {"objectives": {"attention": 0, "hidden": 0}} if student["init"] == "bilstm" else {}
    params = make_params(task="regression", student=student, **off)
    plain, years = (
        build_student(params, teacher=None, labels=[], pairs=False, scale=scale).eval() for scale in (UNSCALED, YEARS)
    )
    torch.testing.assert_close(answers(years), answers(plain) * 11.5 + 1970)
