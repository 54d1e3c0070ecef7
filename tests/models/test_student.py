"""Students of every origin: the right weights, sizes and heads."""

import copy

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from pipeline.errors import InputError
from pipeline.models.loading import load_classifier, load_tokenizer, parameter_count
from pipeline.models.saving import save_model
from pipeline.models.student import build_student, check_student, fresh_config, load_student_tokenizer
from pipeline.models.vocabulary import same_vocabulary

LABELS = ["negative", "positive"]


def assert_copied(student, larger):
    """Every weight of the student but its head's is the larger model's of the same name."""
    weights = larger.state_dict()
    for name, weight in student.state_dict().items():
        if not name.startswith("classifier"):
            torch.testing.assert_close(weight, weights[name], rtol=0, atol=0)


def test_first_layers_of_the_teacher_with_its_head(make_params, tiny_classifier):
    student = build_student(make_params(), teacher=tiny_classifier, labels=LABELS, pairs=False)
    teacher = load_classifier(str(tiny_classifier), "teacher", LABELS)
    assert student.config.num_hidden_layers == len(student.bert.encoder.layer) == 2
    assert_copied(student, teacher)
    torch.testing.assert_close(student.classifier.weight, teacher.classifier.weight)


def test_first_layers_of_the_encoder(make_params, tiny_encoder, tiny_classifier):
    params = make_params(student={"init": "encoder"})
    student = build_student(params, teacher=tiny_classifier, labels=LABELS, pairs=False)
    assert_copied(student, load_classifier(str(tiny_encoder), "teacher.model", LABELS))
    assert student.config.id2label == {0: "negative", 1: "positive"}


def test_without_a_teacher_the_encoder_gives_the_layers(make_params, tiny_encoder):
    student = build_student(make_params(), teacher=None, labels=LABELS, pairs=False)
    assert_copied(student, load_classifier(str(tiny_encoder), "teacher.model", LABELS))


def test_named_model(make_params, tiny_classifier, tokenizer):
    params = make_params(student={"init": "pretrained", "model": str(tiny_classifier)})
    student = build_student(params, teacher=None, labels=["a", "b"], pairs=False)
    assert student.config.num_hidden_layers == 3
    assert student.config.id2label == {0: "a", 1: "b"}
    assert same_vocabulary(load_student_tokenizer(params, teacher=None), tokenizer)


def test_fresh(make_params, tokenizer):
    sizes = {"init": "fresh", "layers": 4, "hidden": 24, "intermediate": 40, "heads": 6}
    params = make_params(student=sizes)
    student = build_student(params, teacher=None, labels=LABELS, pairs=False)
    config = student.config
    assert (config.num_hidden_layers, config.hidden_size, config.intermediate_size) == (4, 24, 40)
    assert (config.num_attention_heads, config.vocab_size) == (6, len(tokenizer))
    assert same_vocabulary(load_student_tokenizer(params, teacher=None), tokenizer)


@pytest.mark.parametrize("init", ["encoder", "fresh", "bilstm"])
def test_the_seed_decides_random_weights_and_nothing_outside_changes(make_params, init):
    def build(seed):
        params = make_params(student={"init": init}, seed=seed, objectives={"attention": 0, "hidden": 0})
        return build_student(params, teacher=None, labels=LABELS, pairs=False).state_dict()

    before = torch.random.get_rng_state()
    one, same, other = build(1), build(1), build(2)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["classifier.weight"], other["classifier.weight"])


def test_regression_has_one_output(make_params, tiny_encoder):
    for init in ("teacher", "fresh"):
        student = build_student(make_params(student={"init": init}), teacher=None, labels=[], pairs=False)
        assert student.config.problem_type == "regression"
        assert student.classifier.out_features == 1


def test_more_layers_than_there_are(make_params, tiny_classifier):
    with pytest.raises(InputError, match=r"student\.layers: got 4, but .* has 3 layers; accepted: 1 to 3"):
        build_student(make_params(student={"layers": 4}), teacher=tiny_classifier, labels=LABELS, pairs=False)


@pytest.mark.parametrize(
    ("student", "objectives", "expected"),
    [
        ({"layers": 4}, {}, r"^student\.layers: got 4, but .* has 3 layers; accepted: 1 to 3$"),
        ({"init": "encoder", "layers": 4}, {}, r"^student\.layers: got 4, but .* has 3 layers; accepted: 1 to 3$"),
        (
            {"init": "fresh", "hidden": 16, "heads": 2},
            {},
            r"^objectives\.attention: the student has 2 ",
        ),
        ({"init": "fresh", "hidden": 16, "heads": 2}, {"attention": 0}, None),
        ({"init": "fresh", "hidden": 16, "heads": 4}, {"cosine": 1}, r"^objectives\.cosine: the student has 16 "),
        ({"init": "fresh", "hidden": 32, "heads": 4, "layers": 4}, {"layers": 1}, r"^objectives\.layers: the .* 4 "),
        ({"init": "bilstm"}, {"attention": 0, "hidden": 0, "logits": 1}, None),
        ({}, {}, None),
    ],
)
def test_a_student_that_cannot_learn_is_an_error_before_training(make_params, student, objectives, expected):
    params = make_params(student=student, objectives=objectives)
    if expected is None:
        check_student(params)
    else:
        with pytest.raises(InputError, match=expected):
            check_student(params)


@pytest.fixture
def roberta(byte_level, tmp_path):
    """A random encoder with a tokenizer that is not the teacher's: `roberta(layers, heads)`."""

    def save(layers=3, heads=4):
        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": 48}
        config = RobertaConfig(vocab_size=len(byte_level), pad_token_id=1, max_position_embeddings=66, **sizes)
        RobertaForSequenceClassification(config).save_pretrained(tmp_path)
        byte_level.save_pretrained(tmp_path)
        return str(tmp_path)

    return save


@pytest.mark.parametrize(("pick", "taken"), [("first", [0, 1]), ("spaced", [1, 3])])
def test_layers_of_an_encoder_that_is_not_the_teacher_s(make_params, tiny_classifier, roberta, byte_level, pick, taken):
    """Whatever the teacher is: the named encoder's layers, embeddings and tokenizer."""
    address = roberta(layers=4)
    params = make_params(student={"init": "encoder", "model": address, "layers": 2, "pick": pick})
    check_student(params)
    whole = load_classifier(address, "student.model", LABELS).state_dict()
    for teacher in (None, tiny_classifier):
        student = build_student(params, teacher=teacher, labels=LABELS, pairs=False)
        assert (student.config.model_type, student.config.num_hidden_layers) == ("roberta", 2)
        weights = student.state_dict()
        for name in weights:
            part = name.split(".layer.")
            if len(part) == 2:
                layer, _, rest = part[1].partition(".")
                assert torch.equal(weights[name], whole[f"{part[0]}.layer.{taken[int(layer)]}.{rest}"])
            elif not name.startswith("classifier"):
                assert torch.equal(weights[name], whole[name])
        assert same_vocabulary(load_student_tokenizer(params, teacher=teacher), byte_level)


@pytest.mark.parametrize(
    ("student", "sizes", "objectives", "expected"),
    [
        ({"layers": 3}, {}, {}, None),
        ({"layers": 4}, {}, {}, r"^student\.layers: got 4, but .* has 3 layers; accepted: 1 to 3$"),
        (
            {"layers": 3},
            {"heads": 2},
            {},
            r"^objectives\.attention: the student has 2 attention heads and the teach",
        ),
        ({"layers": 3}, {"heads": 2}, {"attention": 0}, None),
        ({"layers": 3}, {"layers": 4}, {"layers": 1}, None),
        (
            {"layers": 4},
            {"layers": 4},
            {"layers": 1},
            r"^objectives\.layers: the student has 4 layers and the teach",
        ),
    ],
)
def test_checks_of_an_encoder_that_is_not_the_teacher_s(make_params, roberta, student, sizes, objectives, expected):
    """Its own layers are counted, and those taken are compared with the teacher's."""
    params = make_params(student={"init": "encoder", "model": roberta(**sizes), **student}, objectives=objectives)
    if expected is None:
        check_student(params)
    else:
        with pytest.raises(InputError, match=expected):
            check_student(params)


def test_a_named_student_with_other_tokens(make_params, roberta):
    check_student(make_params(student={"init": "pretrained", "model": roberta(layers=1)}))


def test_a_named_student_without_embeddings_of_some_tokens(make_params, roberta):
    address = roberta()
    config = RobertaConfig.from_pretrained(address)
    config.vocab_size -= 1
    RobertaForSequenceClassification(config).save_pretrained(address)
    with pytest.raises(InputError, match=r"^student\.model: its tokenizer gives ids up to "):
        check_student(make_params(student={"init": "pretrained", "model": address}))


def test_missing_teacher(make_params, tmp_path):
    with pytest.raises(InputError, match="no such model folder"):
        build_student(make_params(), teacher=tmp_path / "teacher", labels=LABELS, pairs=False)


def test_spaced_layers_of_the_teacher(make_params, saved, tiny_classifier):
    """Of a teacher of six layers the second, fourth and sixth, its embeddings and its head."""
    teacher = saved(BertForSequenceClassification, num_hidden_layers=6)
    params = make_params(student={"layers": 3, "pick": "spaced"})
    student = build_student(params, teacher=teacher, labels=LABELS, pairs=False)
    whole = load_classifier(str(teacher), "teacher", LABELS)
    for index, layer in enumerate((2, 4, 6)):
        weights = whole.bert.encoder.layer[layer - 1].state_dict()
        for name, weight in student.bert.encoder.layer[index].state_dict().items():
            assert torch.equal(weight, weights[name])
    assert torch.equal(student.classifier.weight, whole.classifier.weight)
    assert torch.equal(student.bert.pooler.dense.weight, whole.bert.pooler.dense.weight)


BILSTM = {"student": {"init": "bilstm"}, "objectives": {"attention": 0, "hidden": 0}}


@pytest.mark.parametrize("pairs", [False, True])
def test_a_bilstm_over_the_teacher_s_words(make_params, tiny_classifier, tokenizer, pairs):
    """Its word embeddings are as far apart as the teacher's, the one of padding apart, which is 0."""
    params = make_params(**BILSTM)
    student = build_student(params, teacher=tiny_classifier, labels=LABELS, pairs=pairs)
    assert student.config.model_type == "l2a_bilstm"
    assert student.config.id2label == {0: "negative", 1: "positive"}
    assert (student.config.pairs, student.dense.in_features) == (pairs, 1200 if pairs else 300)
    actual = student.embeddings.weight.detach()
    words = load_classifier(str(tiny_classifier), "teacher").bert.embeddings.word_embeddings.weight.detach()
    assert actual.shape == (len(tokenizer), 300)
    assert (actual[tokenizer.pad_token_id] == 0).all()
    real = torch.arange(len(tokenizer)) != tokenizer.pad_token_id
    torch.testing.assert_close(torch.pdist(actual[real]), torch.pdist(words[real]), rtol=1e-4, atol=1e-4)
    student_tokenizer = load_student_tokenizer(params, teacher=tiny_classifier)
    assert same_vocabulary(student_tokenizer, tokenizer)
    with torch.no_grad():
        logits = student(
            **student_tokenizer(["a good film"], ["the plot"] if pairs else None, return_tensors="pt")
        ).logits
    assert logits.shape == (1, 2)


def test_a_bilstm_of_numbers_without_a_teacher(make_params, tiny_encoder):
    student = build_student(make_params(**BILSTM), teacher=None, labels=[], pairs=False)
    assert student.config.problem_type == "regression"
    assert student.classifier.out_features == 1


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


def test_a_bilstm_of_pairs_that_nothing_separates(make_params, tiny_classifier, monkeypatch):
    load = load_tokenizer

    def without(*where):
        tokenizer = copy.deepcopy(load(*where))
        tokenizer.sep_token = None
        return tokenizer

    monkeypatch.setattr("pipeline.models.student.load_tokenizer", without)
    params = make_params(**BILSTM)
    with pytest.raises(InputError, match=r"student\.init: got bilstm, .* no separator between two texts"):
        build_student(params, teacher=tiny_classifier, labels=["no", "yes"], pairs=True)
    build_student(params, teacher=tiny_classifier, labels=["no", "yes"], pairs=False)


def test_a_bilstm_is_no_pretrained_student(make_params, tiny_classifier, tokenizer, tmp_path):
    bilstm = build_student(make_params(**BILSTM), teacher=tiny_classifier, labels=["no", "yes"], pairs=False)
    save_model(bilstm, tokenizer, tmp_path / "bilstm")
    params = make_params(student={"init": "pretrained", "model": str(tmp_path / "bilstm")})
    with pytest.raises(InputError, match=r"student\.model: .* is a l2a_bilstm; accepted: an encoder"):
        build_student(params, teacher=tiny_classifier, labels=["no", "yes"], pairs=False)
