"""Students of every origin: the right weights, sizes and heads."""

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from pipeline.agreement import same_vocabulary
from pipeline.errors import InputError
from pipeline.models import load_classifier, parameter_count
from pipeline.student import build_student, check_student, first_layers, fresh_config, load_student_tokenizer

LABELS = ["negative", "positive"]


def assert_copied(student, larger):
    """Every weight of the student but its head's is the larger model's of the same name."""
    theirs = larger.state_dict()
    for name, weight in student.state_dict().items():
        if not name.startswith("classifier"):
            torch.testing.assert_close(weight, theirs[name], rtol=0, atol=0)


def test_first_layers_of_the_teacher_with_its_head(make_params, tiny_classifier):
    student = build_student(make_params(), teacher=tiny_classifier, labels=LABELS)
    teacher = load_classifier(str(tiny_classifier), "teacher", LABELS)
    assert student.config.num_hidden_layers == len(student.bert.encoder.layer) == 2
    assert_copied(student, teacher)
    torch.testing.assert_close(student.classifier.weight, teacher.classifier.weight)


def test_first_layers_of_the_encoder(make_params, tiny_encoder, tiny_classifier):
    params = make_params(student={"init": "encoder"})
    student = build_student(params, teacher=tiny_classifier, labels=LABELS)
    assert_copied(student, load_classifier(str(tiny_encoder), "teacher.model", LABELS))
    assert student.config.id2label == {0: "negative", 1: "positive"}


def test_without_a_teacher_the_encoder_gives_the_layers(make_params, tiny_encoder):
    student = build_student(make_params(), teacher=None, labels=LABELS)
    assert_copied(student, load_classifier(str(tiny_encoder), "teacher.model", LABELS))


def test_named_model(make_params, tiny_classifier, tokenizer):
    params = make_params(student={"init": "pretrained", "model": str(tiny_classifier)})
    student = build_student(params, teacher=None, labels=["a", "b"])
    assert student.config.num_hidden_layers == 3
    assert student.config.id2label == {0: "a", 1: "b"}
    assert same_vocabulary(load_student_tokenizer(params, teacher=None), tokenizer)


def test_fresh(make_params, tokenizer):
    sizes = {"init": "fresh", "layers": 4, "hidden": 24, "intermediate": 40, "heads": 6}
    params = make_params(student=sizes)
    student = build_student(params, teacher=None, labels=LABELS)
    config = student.config
    assert (config.num_hidden_layers, config.hidden_size, config.intermediate_size) == (4, 24, 40)
    assert (config.num_attention_heads, config.vocab_size) == (6, len(tokenizer))
    assert same_vocabulary(load_student_tokenizer(params, teacher=None), tokenizer)


@pytest.mark.parametrize("init", ["encoder", "fresh"])
def test_the_seed_decides_random_weights_and_nothing_outside_changes(make_params, init):
    def build(seed):
        return build_student(make_params(student={"init": init}, seed=seed), teacher=None, labels=LABELS).state_dict()

    before = torch.random.get_rng_state()
    one, same, other = build(1), build(1), build(2)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["classifier.weight"], other["classifier.weight"])


def test_regression_has_one_output(make_params, tiny_encoder):
    for init in ("teacher", "fresh"):
        student = build_student(make_params(student={"init": init}), teacher=None, labels=[])
        assert student.config.problem_type == "regression"
        assert student.classifier.out_features == 1


def test_more_layers_than_there_are(make_params, tiny_classifier):
    with pytest.raises(InputError, match=r"student\.layers: got 4, but .* has 3 layers; accepted: 1 to 3"):
        build_student(make_params(student={"layers": 4}), teacher=tiny_classifier, labels=LABELS)


@pytest.mark.parametrize(
    ("student", "objectives", "said"),
    [
        ({"layers": 4}, {}, r"^student\.layers: got 4, but .* has 3 layers; accepted: 1 to 3$"),
        ({"init": "encoder", "layers": 4}, {}, r"^student\.layers: got 4, but .* has 3 layers; accepted: 1 to 3$"),
        (
            {"init": "fresh", "hidden": 16, "heads": 2},
            {},
            r"^objectives\.attention: the student has 2 ",
        ),
        ({"init": "fresh", "hidden": 16, "heads": 2}, {"attention": 0}, None),
        ({}, {}, None),
    ],
)
def test_what_cannot_be_taught_is_known_before_there_is_a_teacher(make_params, student, objectives, said):
    params = make_params(student=student, objectives=objectives)
    if said is None:
        check_student(params)
    else:
        with pytest.raises(InputError, match=said):
            check_student(params)


@pytest.mark.parametrize("off", [{}, {"attention": 0}, {"attention": 0, "hidden": 0}])
def test_a_named_student_with_other_words(make_params, byte_level, tmp_path, off):
    config = RobertaConfig(vocab_size=len(byte_level), hidden_size=32, num_hidden_layers=1, num_attention_heads=4)
    RobertaForSequenceClassification(config).save_pretrained(tmp_path)
    byte_level.save_pretrained(tmp_path)
    params = make_params(student={"init": "pretrained", "model": str(tmp_path)}, objectives=off)
    if len(off) == 2:
        check_student(params)
    else:
        with pytest.raises(InputError, match=r"^student\.model: it splits texts into other tokens than the teacher"):
            check_student(params)


def test_missing_teacher(make_params, tmp_path):
    with pytest.raises(InputError, match="no such model folder"):
        build_student(make_params(), teacher=tmp_path / "teacher", labels=LABELS)


@pytest.mark.parametrize("kind", ["distilbert", "roberta", "electra", "albert", "mpnet", "deberta-v2", "modernbert"])
def test_first_layers_of_other_encoders(kind):
    sizes = {"vocab_size": 90, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    config = AutoConfig.for_model(kind, num_hidden_layers=4, max_position_embeddings=64, **sizes, **tokens)
    whole = AutoModelForSequenceClassification.from_config(config).eval()
    student = first_layers(whole, 2, "it")
    ids = torch.arange(5, 17).reshape(2, 6)
    with torch.no_grad():
        hidden = whole(ids, output_hidden_states=True).hidden_states
        cut = student(ids, output_hidden_states=True).hidden_states
    torch.testing.assert_close(cut[1], hidden[1])
    assert len(cut) == 3


@pytest.mark.parametrize(
    ("layers", "hidden", "intermediate", "heads", "millions"),
    [(12, 768, 3072, 12, 109.5), (4, 312, 1200, 12, 14.4), (4, 768, 3072, 12, 52.8), (6, 768, 3072, 12, 67.0),
     (12, 384, 1536, 12, 33.4)],
)  # fmt: skip
def test_sizes_of_the_papers_models(make_params, tokenizer, layers, hidden, intermediate, heads, millions):
    sizes = {"init": "fresh", "layers": layers, "hidden": hidden, "intermediate": intermediate, "heads": heads}
    config = fresh_config(make_params(student=sizes), tokenizer, LABELS)
    config.vocab_size = BertConfig().vocab_size
    with torch.device("meta"):
        count = parameter_count(BertForSequenceClassification(config))
    assert round(count / 1e6, 1) == millions
