"""The distill stage's work from folders to folders: checks before training, the student, the selection."""

import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from helpers.families import save_family
from helpers.prepared import complete
from helpers.tiny_tokenizers import tiny_tokenizer
from safetensors.torch import save_file
from transformers import AutoTokenizer, BertForSequenceClassification, BertModel, RobertaConfig, RobertaModel

from pipeline.augment.augment import augment
from pipeline.augment.shards import read_augmented
from pipeline.data.texts import read_texts, write_texts
from pipeline.distill import distill as run_module
from pipeline.distill.cache_teacher import cache_teacher
from pipeline.distill.distill import distill_student
from pipeline.errors import InputError
from pipeline.evaluation.validation import Validation
from pipeline.models.label_scale import LabelScale
from pipeline.models.loading import load_classifier, load_config, load_tokenizer
from pipeline.models.saving import save_model
from pipeline.models.vocabulary import same_vocabulary


@pytest.fixture
def run(make_params, uneven, augmented, cached, tiny_classifier, tmp_path):
    folders = {"prepared": uneven, "augmented": augmented, "cache": cached, "teacher": tiny_classifier}

    def run(name="one", log=lambda *_: None, earlier=None, **given):
        places = folders | {key: given.pop(key) for key in list(given) if key in folders}
        given["distill"] = {"epochs": 2, "batch_size": 16, "learning_rate": 0.002, **given.get("distill", {})}
        places |= {"out": tmp_path / name / "student", "selection": tmp_path / name / "selection.parquet"}
        places |= {"projection_and_policy": tmp_path / name / "projection_and_policy.safetensors"}
        said = distill_student(make_params(**given), log=log, earlier=earlier, **places)
        return said, places["out"], places["selection"]

    return run


@pytest.fixture
def untrained(monkeypatch):
    """Training is a failure: what is wrong has to be found before."""

    def distill(*_, **__):
        raise AssertionError("it trained")

    monkeypatch.setattr(run_module, "distill", distill)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_student_opens_in_transformers(run, uneven):
    said, out, _ = run()
    model = BertForSequenceClassification.from_pretrained(out).eval()
    assert model.config.num_hidden_layers == 2
    assert model.config.id2label == {0: "negative", 1: "positive"}
    assert model.config._attn_implementation == "sdpa"
    validation = read_texts(uneven / "validation.parquet")
    tokenizer = AutoTokenizer.from_pretrained(out)
    # As params have it, whatever the teacher could read.
    assert tokenizer.model_max_length == 16
    with torch.no_grad():
        found = model(**tokenizer(validation.texts, padding=True, return_tensors="pt")).logits.argmax(1).numpy()
    accuracy = (found == validation.labels).mean()
    assert f"validation accuracy {accuracy:.3f} after epoch" in said
    assert "14 steps" in said
    assert said.endswith(f"in {out}")


def test_the_selection_has_a_row_for_each_neighbour(run, augmented):
    _, _, selection = run()
    table, neighbours = pq.read_table(selection), read_augmented(augmented, ["id", "domain"])
    assert table.schema.names == ["id", "domain", "pi", "kept"]
    joined = table.join(neighbours, "id", join_type="inner", right_suffix="_augmented")
    assert joined.num_rows == table.num_rows == neighbours.num_rows == len(set(table["id"].to_pylist())) == 96
    assert joined["domain"].to_pylist() == joined["domain_augmented"].to_pylist()
    pi, kept = table["pi"].to_numpy(), table["kept"].to_numpy()
    assert ((pi >= 0) & (pi <= 1)).all()
    assert len(set(pi.tolist())) > 1
    assert 0 < kept.sum() < 96


def test_without_a_selector_all_are_kept(run):
    said, _, selection = run(selector={"kind": "none"})
    table = pq.read_table(selection)
    assert set(table["pi"].to_pylist()) == {1.0}
    assert set(table["kept"].to_pylist()) == {True}
    assert "96 of 96 neighbours kept" in said


@pytest.mark.parametrize("kind", ["reinforced", "none"])
def test_the_same_seed_gives_the_same_bytes(run, tmp_path, kind):
    run("one", selector={"kind": kind})
    torch.manual_seed(123)
    run("other", selector={"kind": kind})
    one, other = contents(tmp_path / "one"), contents(tmp_path / "other")
    assert len(one) >= 4
    assert one == other
    assert not any(str(tmp_path).encode() in content for content in one.values())
    run("third", selector={"kind": kind}, seed=2)
    assert contents(tmp_path / "third")["student/model.safetensors"] != one["student/model.safetensors"]


@pytest.mark.slow
def test_the_unit_of_the_labels_changes_nothing_but_the_unit(run, make_params, saved, tiny_masked_lm, uneven, tmp_path):
    """Labels and teacher in another unit: the same losses, rewards, decisions and student, in two rounds.

    With caution, so that rounding moves no decision.
    """
    neutral = {"num_labels": 1, "id2label": {0: "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    first = saved(BertForSequenceClassification, **neutral)

    def distilled(name, factor, shift):
        folder = tmp_path / name
        unit = LabelScale(shift, factor)
        for domain in ("source", "train", "validation"):
            texts = read_texts(uneven / f"{domain}.parquet")
            numbers = np.array([len(text) // 4 for text in texts.texts], np.float32) * factor + np.float32(shift)
            labelled = replace(texts, labels=numbers, names=[])
            write_texts(folder / f"{domain}.parquet", labelled, "source" if domain == "source" else "target")
        complete(folder)
        teacher = load_classifier(first, "teacher")
        unit.put_into_head(teacher)
        save_model(teacher, load_tokenizer(first, "teacher"), folder / "teacher")
        params = make_params(task="regression", augment={"samples": {"source": 1, "target": 2}, "shards": 2})
        given = {"prepared": folder, "augmented": folder / "augmented", "teacher": folder / "teacher"}
        augment(params, prepared=folder, generator=tiny_masked_lm, out=given["augmented"])
        given["cache"] = folder / "cache"
        cache_teacher(params, **{key: given[key] for key in ("prepared", "augmented", "teacher")}, out=given["cache"])
        logged, earlier = [], None
        given |= {"task": "regression", "objectives": {"hard": 1, "logits": 1}}
        given["selector"] = {"every": 1, "caution": 50}
        for number in (1, 2):
            _, out, selection = run(
                f"{name}/{number}", log=lambda _, figures: logged.append(figures), earlier=earlier, **given
            )
            earlier = out, out.parent / "projection_and_policy.safetensors"
        texts = AutoTokenizer.from_pretrained(out)(["a good film", "so dull"], padding=True, return_tensors="pt")
        model = BertForSequenceClassification.from_pretrained(out).eval()
        with torch.no_grad():
            predicted = model(**texts).logits.double().numpy()
        return predicted, pq.read_table(selection).to_pydict(), logged

    one, years = distilled("one", 1, 0), distilled("years", 8, 1950)
    np.testing.assert_allclose((years[0] - 1950) / 8, one[0], atol=5e-3)
    assert years[1]["kept"] == one[1]["kept"]
    np.testing.assert_allclose(years[1]["pi"], one[1]["pi"], atol=1e-2)
    for ours, theirs in zip(years[2], one[2], strict=True):
        # Rewards are small differences of answers near 1950, which float32 holds to a ten-thousandth.
        assert ours.pop("reward", 0) == pytest.approx(theirs.pop("reward", 0), rel=0.15, abs=2e-2)
        assert ours == pytest.approx(theirs, rel=2e-2, abs=2e-3)


def test_regression_from_end_to_end(run, make_params, saved, tiny_masked_lm, uneven, tmp_path):
    for name in ("source", "train", "validation"):
        texts = read_texts(uneven / f"{name}.parquet")
        numbers = np.array([len(text) / 20 for text in texts.texts], np.float32)
        labelled = type(texts)(texts.ids, texts.texts, None, numbers, [])
        write_texts(tmp_path / f"{name}.parquet", labelled, "source" if name == "source" else "target")
    complete(tmp_path)
    teacher = saved(BertForSequenceClassification, num_labels=1, id2label={0: "LABEL_0"}, label2id={"LABEL_0": 0})
    params = make_params(task="regression", augment={"samples": {"source": 1, "target": 2}, "shards": 2})
    augment(params, prepared=tmp_path, generator=tiny_masked_lm, out=tmp_path / "augmented")
    given = {"prepared": tmp_path, "augmented": tmp_path / "augmented", "teacher": teacher}
    cache_teacher(params, **given, out=tmp_path / "cache")
    logged = []
    # Of numbers all three losses of predictions are squared differences, two of them with the teacher's.
    given |= {"objectives": {"hard": 1, "logits": 1}, "cache": tmp_path / "cache", "selector": {"every": 1}}
    _, out, selection = run(task="regression", log=lambda step, figures: logged.append(figures), **given)
    model = load_classifier(out, "student")
    assert model.config.num_labels == 1
    assert model.config.problem_type == "regression"
    assert pq.read_table(selection).num_rows == 80
    assert all(np.isfinite(value) for figures in logged for value in figures.values())
    assert logged[0].keys() >= {"loss/attention", "loss/hidden", "loss/dark", "loss/hard", "reward"}
    steps = [figures for figures in logged if "reward" in figures]
    assert all(figures["loss/logits"] == pytest.approx(figures["loss/dark"]) for figures in steps)
    assert any(abs(figures["loss/hard"] - figures["loss/dark"]) > 0.01 for figures in steps)


def test_another_number_of_heads(run, untrained, tmp_path):
    fresh = {"init": "fresh", "hidden": 16, "intermediate": 16, "heads": 2}
    with pytest.raises(
        InputError, match=r"^objectives\.attention: the student has 2 attention heads and the teacher 4"
    ):
        run(student=fresh)
    assert not (tmp_path / "one").exists()


def test_another_number_of_heads_without_the_attention_objective(run):
    fresh = {"init": "fresh", "hidden": 16, "intermediate": 16, "heads": 2}
    _, out, _ = run(student=fresh, objectives={"attention": 0}, distill={"epochs": 1})
    assert load_config(out, "student").num_attention_heads == 2


@pytest.fixture
def roberta(tmp_path):
    """A random encoder of another family, of another width, with another way of cutting words."""
    tokenizer = tiny_tokenizer("roberta")
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=80,
        initializer_range=0.1,
    )
    RobertaModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "roberta")
    tokenizer.save_pretrained(tmp_path / "roberta")
    return tmp_path / "roberta"


@pytest.mark.parametrize("paired", [False, True], ids=["single", "pairs"])
def test_a_student_of_another_family(
    run, make_params, roberta, tiny_masked_lm, tiny_classifier, uneven, tmp_path, paired
):
    """Layers of an encoder with its own tokenizer learn logits, hidden states and attention of the teacher."""
    for name in ("source", "train", "validation"):
        texts = read_texts(uneven / f"{name}.parquet")
        written = replace(texts, pairs=texts.texts[::-1]) if paired else texts
        write_texts(tmp_path / f"{name}.parquet", written, "source" if name == "source" else "target")
    complete(tmp_path)
    params = make_params(augment={"samples": {"source": 0, "target": 2}, "shards": 2}, max_length=48)
    augment(params, prepared=tmp_path, generator=tiny_masked_lm, out=tmp_path / "augmented")
    given = {"prepared": tmp_path, "augmented": tmp_path / "augmented", "teacher": tiny_classifier}
    cache_teacher(params, **given, out=tmp_path / "cache")
    logged = []
    student = {"init": "encoder", "model": str(roberta), "layers": 2}
    _, out, _ = run(
        cache=tmp_path / "cache",
        student=student,
        max_length=48,
        # In a teacher that has learnt nothing attention is even, and the differences are small.
        objectives={"attention": 300, "hidden": 1, "dark": 1},
        distill={"epochs": 10, "learning_rate": 0.005},
        selector={"kind": "none"},
        log=lambda _, metrics: logged.append(metrics),
        **given,
    )
    # The cross-entropy of predictions cannot fall below the entropy of the teacher's, which are even, too.
    for name, most in (("attention", 0.6), ("hidden", 0.6), ("dark", 0.998)):
        losses = [metrics[f"loss/{name}"] for metrics in logged if f"loss/{name}" in metrics]
        assert np.mean(losses[-3:]) < most * np.mean(losses[:3]), name
    config = load_config(out, "student")
    assert (config.model_type, config.num_hidden_layers, config.hidden_size) == ("roberta", 2, 24)
    assert same_vocabulary(AutoTokenizer.from_pretrained(out), tiny_tokenizer("roberta"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"student": {"layers": 4}}, r"^student\.layers: got 4, but .* has 3 layers; accepted: 1 to 3$"),
        ({"max_length": 65}, r"^max_length: got 65, but the student takes 64 tokens; accepted: 8 to 64$"),
        ({"student": {"init": "pretrained", "model": "/none"}}, r"^student\.model: no such model folder: /none$"),
    ],
)
def test_what_is_wrong_is_found_before_training(run, untrained, given, said, tmp_path):
    with pytest.raises(InputError, match=said):
        run(**given)
    assert not (tmp_path / "one").exists()


def test_a_student_that_onnx_cannot_have_is_found_before_training(run, untrained, tokenizer, tmp_path):
    save_family("longformer", tokenizer, tmp_path / "model")
    student = {"init": "pretrained", "model": str(tmp_path / "model")}
    with pytest.raises(InputError, match=r"^student\.model: the student is a longformer, which cannot be "):
        run(student=student, objectives={"attention": 0, "hidden": 0})
    assert not (tmp_path / "one").exists()


def test_a_teacher_of_other_classes(run, untrained, saved):
    names = {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}
    with pytest.raises(InputError, match=r"^teacher: its classes are bad, good; the prepared texts have negative, pos"):
        run(teacher=saved(BertForSequenceClassification, **names))


def test_a_cache_that_lacks_a_part(run, untrained, cached, tmp_path):
    shutil.copytree(cached, tmp_path / "teacher", ignore=shutil.ignore_patterns("*.hidden.npy"))
    with pytest.raises(
        InputError, match=r"^objectives\.hidden: it needs the teacher's hidden, which .*teacher does not contain; "
    ):
        run(cache=tmp_path / "teacher")


@pytest.mark.parametrize("kind", ["reinforced", "none"])
def test_originals_alone(run, make_params, tiny_masked_lm, tiny_classifier, uneven, tmp_path, kind):
    """Plain distillation: no neighbours, so nothing to select."""
    params = make_params(augment={"samples": {"source": 0, "target": 0}, "shards": 2})
    augment(params, prepared=uneven, generator=tiny_masked_lm, out=tmp_path / "augmented")
    given = {"augmented": tmp_path / "augmented", "teacher": tiny_classifier}
    cache_teacher(params, prepared=uneven, **given, out=tmp_path / "cache")
    logged = []
    said, out, selection = run(
        cache=tmp_path / "cache", selector={"kind": kind}, log=lambda _, metrics: logged.append(metrics), **given
    )
    assert "(2 steps, 0 of 0 neighbours kept at the end)" in said
    table = pq.read_table(selection)
    assert (table.num_rows, table.schema.names) == (0, ["id", "domain", "pi", "kept"])
    assert load_config(out, "student").num_hidden_layers == 2
    assert all(np.isfinite(list(metrics.values())).all() for metrics in logged)


def test_states_alone(run, make_params, uneven, augmented, tiny_classifier, tmp_path):
    """Neither L_dark nor the selector: the teacher's logits need not be there."""
    without = {"objectives": {"dark": 0}, "selector": {"kind": "none"}}
    params = make_params(augment={"shards": 2}, cache={"logits": False}, **without)
    cache_teacher(params, prepared=uneven, augmented=augmented, teacher=tiny_classifier, out=tmp_path / "cache")
    logged = []
    said, _, _ = run(cache=tmp_path / "cache", log=lambda _, metrics: logged.append(metrics), **without)
    assert "96 of 96 neighbours kept" in said
    assert logged[0].keys() == {"loss/attention", "loss/hidden"}


def test_a_wider_teacher_is_projected(run, saved, make_params, uneven, augmented, tmp_path):
    """W makes a teacher's width of the student's."""
    names = {"id2label": {0: "negative", 1: "positive"}, "label2id": {"negative": 0, "positive": 1}}
    teacher = saved(BertForSequenceClassification, hidden_size=48, **names)
    cache_teacher(
        make_params(augment={"shards": 2}), prepared=uneven, augmented=augmented, teacher=teacher, out=tmp_path / "c"
    )
    encoder = saved(BertModel, num_hidden_layers=1)
    student = {"init": "pretrained", "model": str(encoder)}
    _, out, _ = run(teacher=teacher, cache=tmp_path / "c", student=student, distill={"epochs": 1})
    assert load_config(out, "student").hidden_size == 32


@pytest.mark.parametrize(
    ("objectives", "live"),
    [
        ({}, False),
        ({"cosine": 1, "masked_lm": 1, "hard": 1, "logits": 1}, False),
        *[({name: 1}, True) for name in ("patience", "relations", "scores", "layers")],
    ],
)
def test_the_teacher_itself_where_its_cache_is_not_enough(run, tiny_classifier, monkeypatch, objectives, live):
    """It is as it was fine-tuned, without dropout, and still is after the student has learnt."""
    teachers = []
    distill = run_module.distill
    monkeypatch.setattr(run_module, "distill", lambda run: teachers.append(run.teacher) or distill(run))
    logged = []
    run(objectives=objectives, distill={"epochs": 1}, log=lambda _, metrics: logged.append(metrics))
    assert logged[0].keys() >= {f"loss/{name}" for name in objectives}
    assert all(np.isfinite(list(metrics.values())).all() for metrics in logged)
    assert [teacher is not None for teacher in teachers] == [live]
    if live:
        assert not teachers[0].training
        weights = load_classifier(str(tiny_classifier), "teacher").state_dict()
        assert all(torch.equal(weight, weights[name]) for name, weight in teachers[0].state_dict().items())


def test_states_first(run):
    """Of two epochs the second is the first that counts."""
    said, _, _ = run(distill={"epochs": 2, "states_first": 0.5}, objectives={"scores": 1, "layers": 1})
    assert "after epoch 2 of 2" in said


BILSTM = {"student": {"init": "bilstm"}, "objectives": {"attention": 0, "hidden": 0, "logits": 1}}


def test_a_bilstm_from_end_to_end(run, uneven, tmp_path):
    """Its folder opens with the scores it was chosen for, and a later round goes on from it."""
    logged = []
    fit = {"epochs": 4, "learning_rate": 0.01}
    said, out, _ = run(**BILSTM, distill=fit, log=lambda _, metrics: logged.append(metrics))
    validation, tokenizer = read_texts(uneven / "validation.parquet"), AutoTokenizer.from_pretrained(out)
    student = load_classifier(out, "student")
    assert student.config.model_type == "l2a_bilstm"
    score = Validation(validation, tokenizer, 16).score(student)
    assert f"validation accuracy {score.metric:.3f} after epoch" in said
    last = [figures for figures in logged if "validation/loss" in figures]
    assert any(figures["validation/loss"] == pytest.approx(-score.minus_loss, abs=1e-5) for figures in last)
    # A learning rate that moves next to nothing leaves it as the previous round did.
    still = {"epochs": 1, "learning_rate": 1e-12}
    given = {"earlier": (out, tmp_path / "one" / "projection_and_policy.safetensors"), "distill": still}
    _, again, _ = run("two", **BILSTM, **given)
    texts = tokenizer(validation.texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        found = load_classifier(again, "student")(**texts).logits
        torch.testing.assert_close(found, student(**texts).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("init", ["bilstm", "teacher"])
def test_pairs_from_end_to_end(run, make_params, tiny_masked_lm, tiny_classifier, uneven, tmp_path, init):
    """A BiLSTM made for pairs reads the second text too."""
    for name in ("source", "train", "validation"):
        texts = read_texts(uneven / f"{name}.parquet")
        paired = replace(texts, pairs=texts.texts[::-1])
        write_texts(tmp_path / f"{name}.parquet", paired, "source" if name == "source" else "target")
    complete(tmp_path)
    params = make_params(augment={"samples": {"source": 0, "target": 2}, "shards": 2}, max_length=32)
    augment(params, prepared=tmp_path, generator=tiny_masked_lm, out=tmp_path / "augmented")
    given = {"prepared": tmp_path, "augmented": tmp_path / "augmented", "teacher": tiny_classifier}
    cache_teacher(params, **given, out=tmp_path / "cache")
    sections = BILSTM if init == "bilstm" else {}
    _, out, _ = run(cache=tmp_path / "cache", max_length=32, distill={"epochs": 1}, **sections, **given)
    student, tokenizer = load_classifier(out, "student"), AutoTokenizer.from_pretrained(out)
    assert getattr(student.config, "pairs", None) == (True if init == "bilstm" else None)
    with torch.no_grad():
        one, other = (
            student(**tokenizer("a good film", second, return_tensors="pt")).logits
            for second in ("the plot", "a bad joke")
        )
    assert not torch.equal(one, other)


def test_a_damaged_projection_and_policy(run, tmp_path):
    _, out, _ = run(distill={"epochs": 1})
    learned = tmp_path / "one" / "projection_and_policy.safetensors"
    content = bytearray(learned.read_bytes())
    content[-1] ^= 1
    learned.write_bytes(content)
    with pytest.raises(
        InputError,
        match=r"projection_and_policy\.safetensors: damaged; run the distill stage of the previous round again",
    ):
        run("two", earlier=(out, learned))
    save_file({"w": torch.zeros(1)}, learned)
    with pytest.raises(InputError, match=r"_policy\.safetensors: no checksum in its metadata; run the distill stage"):
        run("two", earlier=(out, learned))
    learned.write_bytes(content[:50])
    with pytest.raises(InputError, match=r"projection_and_policy\.safetensors: not a safetensors file"):
        run("two", earlier=(out, learned))
