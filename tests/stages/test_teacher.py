"""The teacher stage, from its command line to a folder that transformers opens."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
import transformers
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from pipeline.data.texts import Texts, read_texts, write_texts
from pipeline.models.head_rows import take_rows
from pipeline.models.loading import load_classifier, load_tokenizer
from pipeline.models.saving import save_model
from stages.teacher import app


@pytest.fixture
def run(tiny_encoder, prepared, tmp_path):
    def run(name="first", prepared=prepared, max_length=16, source=None, generator=tiny_encoder, **teacher):
        params = {
            "data": {"target": {"path": "target.csv", "rows": 8}, "source": source},
            "max_length": max_length,
            "teacher": {"model": str(tiny_encoder), "learning_rate": 0.006, "batch_size": 8, **teacher},
            "generator": {"model": str(generator)},
        }
        file = tmp_path / "params.yaml"
        file.write_text(yaml.safe_dump(params))
        out, metrics = tmp_path / name / "teacher", tmp_path / name / "teacher.json"
        arguments = ["--params", file, "--prepared", prepared, "--out", out, "--metrics", metrics]
        return CliRunner().invoke(app, [str(part) for part in arguments]), out, metrics

    return run


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_it_learns_and_opens_as_a_pipeline(run, prepared):
    result, out, metrics = run(epochs={"source": 6, "target": 2})
    assert result.exit_code == 0, result.output
    assert result.output.startswith("teacher: 0.0M parameters, validation accuracy ")
    config = json.loads((out / "config.json").read_text())
    assert config["id2label"] == {"0": "negative", "1": "positive"}
    measured = json.loads(metrics.read_text())
    assert [(epoch["phase"], epoch["epoch"]) for epoch in measured["history"]][5:] == [(1, 6), (2, 1), (2, 2)]
    assert measured["accuracy"] == max(epoch["accuracy"] for epoch in measured["history"]) > 0.8

    validation = read_texts(prepared / "validation.parquet")
    classify = transformers.pipeline("text-classification", str(out), device="cpu")
    predicted = [prediction["label"] for prediction in classify(validation.texts)]
    right = sum(
        validation.names[label] == prediction for label, prediction in zip(validation.labels, predicted, strict=True)
    )
    assert right / len(validation) == measured["accuracy"]


def test_same_inputs_give_the_same_bytes_without_machine_paths(run, tiny_encoder, tmp_path):
    epochs = {"source": 1, "target": 1}
    (_, one, _), (_, other, _) = run("one", epochs=epochs), run("other", epochs=epochs)
    assert contents(one) == contents(other)
    assert {file.stat().st_mode & 0o777 for file in one.iterdir()} == {0o644}
    for name, content in contents(one).items():
        assert not any(str(path).encode() in content for path in (tmp_path, tiny_encoder.parent)), name
        assert b'"truncation": {' not in content, name


def test_without_source_texts_there_is_one_phase(run, prepared, tmp_path):
    folder = tmp_path / "prepared"
    folder.mkdir()
    for name in ("train", "validation"):
        (folder / f"{name}.parquet").write_bytes((prepared / f"{name}.parquet").read_bytes())
    nothing = read_texts(prepared / "train.parquet")
    empty = Texts([], [], None, nothing.labels[:0], nothing.names)
    write_texts(folder / "teacher_source.parquet", empty, "source")
    result, _, metrics = run(prepared=folder, epochs={"source": 2, "target": 1})
    assert result.exit_code == 0, result.output
    assert len(json.loads(metrics.read_text())["history"]) == 1

    result, _, _ = run("second", prepared=folder, domains=["source"])
    assert result.exit_code == 1
    assert result.output.endswith("teacher.domains: got [source], but data.source is null; accepted: [target]\n")
    result, out, _ = run("third", prepared=folder, domains=["source"], source={"path": "source.csv"})
    assert result.exit_code == 1
    assert result.output == "teacher: teacher.domains: got [source], but there is no source text; accepted: [target]\n"
    assert not out.exists()


@pytest.fixture
def misleading(prepared, tmp_path):
    """Prepared texts whose source has the labels exchanged."""
    folder = shutil.copytree(prepared, tmp_path / "misleading")
    source = read_texts(prepared / "source.parquet")
    write_texts(folder / "teacher_source.parquet", replace(source, labels=1 - source.labels), "source")
    return folder


def test_auto_keeps_the_better_of_both_teachers(run, prepared, misleading):
    """What it writes is what the list that it names would have written."""
    epochs = {"source": 2, "target": 4}
    source = {"path": "source.csv"}
    for name, folder, domains in (("good", prepared, ["source", "target"]), ("bad", misleading, ["target"])):
        result, out, metrics = run(f"{name}-auto", prepared=folder, domains="auto", epochs=epochs, source=source)
        assert result.exit_code == 0, result.output
        _, same, listed = run(f"{name}-list", prepared=folder, domains=domains, epochs=epochs, source=source)
        assert contents(out) == contents(same)
        measured, alone = json.loads(metrics.read_text()), json.loads(listed.read_text())
        tried = {tuple(each["domains"]): each for each in measured["tried"]}
        assert list(tried) == [("source", "target"), ("target",)]
        better = max(tried.values(), key=lambda each: (each["accuracy"], -each["loss"]))
        assert better["domains"] == measured["domains"] == domains
        assert {name: measured[name] for name in alone} == alone
        other = next(each for each in tried.values() if each is not better)
        assert f" with teacher.domains: [{', '.join(domains)}] ([{', '.join(other['domains'])}] " in result.output


def test_auto_without_a_choice(run, prepared, tmp_path):
    folder = shutil.copytree(prepared, tmp_path / "other classes")
    source = read_texts(prepared / "source.parquet")
    write_texts(folder / "teacher_source.parquet", replace(source, names=["bad", "good"]), "source")
    epochs = {"source": 1, "target": 1}
    result, out, metrics = run(prepared=folder, domains="auto", epochs=epochs)
    assert result.exit_code == 0, result.output
    assert "with teacher.domains: [target] (the source has other classes), in " in result.output
    assert json.loads(metrics.read_text())["domains"] == ["target"]
    _, same, _ = run("list", domains=["target"], epochs=epochs)
    assert contents(out) == contents(same)


def test_a_teacher_without_training_needs_a_head_for_the_classes(run, tiny_encoder):
    nothing = {"source": 0, "target": 0}
    result, out, _ = run(epochs=nothing)
    assert result.exit_code == 1
    assert result.output == (
        f"teacher: teacher.model: {tiny_encoder} has no classification head; accepted: a model that was fine-tuned\n"
    )
    assert not out.exists()
    _, trained, _ = run("trained", epochs={"source": 1, "target": 0})
    result, out, metrics = run("as it is", model=str(trained), epochs=nothing)
    assert result.exit_code == 0, result.output
    assert (out / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    assert json.loads(metrics.read_text())["history"] == []
    # So is one whose head has the classes in another order.
    model = load_classifier(trained, "x")
    take_rows(model, model.classifier, [1, 0], ["positive", "negative"])
    save_model(model, load_tokenizer(trained, "x"), trained.parent / "turned")
    result, out, metrics = run("turned back", model=str(trained.parent / "turned"), epochs=nothing)
    assert result.exit_code == 0, result.output
    assert (out / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_errors_are_one_line(run):
    result, _, _ = run(model="no/such/model/here")
    assert result.exit_code == 1
    assert result.output == "teacher: teacher.model: no such model folder: no/such/model/here\n"
    result, _, _ = run(learning_rate=1e30, warmup=0, epochs={"source": 1, "target": 0})
    assert result.exit_code == 1
    assert result.output.startswith(
        "teacher: teacher.learning_rate: got 1e+30, with which the loss is not finite; accepted: a lower one"
    )


def test_a_student_deeper_than_the_teacher(tiny_encoder, prepared, tmp_path):
    file = tmp_path / "params.yaml"
    params = {
        "data": {"target": {"path": "t.csv", "rows": 8}},
        "teacher": {"model": str(tiny_encoder)},
        "generator": {"model": str(tiny_encoder)},
        "student": {"layers": 4},
    }
    file.write_text(yaml.safe_dump(params))
    arguments = ["--params", file, "--prepared", prepared, "--out", tmp_path / "out", "--metrics", tmp_path / "t.json"]
    result = CliRunner().invoke(app, [str(part) for part in arguments])
    assert result.exit_code == 1
    assert result.output == f"teacher: student.layers: got 4, but {tiny_encoder} has 3 layers; accepted: 1 to 3\n"
    assert not (tmp_path / "out").exists()


def test_more_tokens_than_the_models_take(run, saved, tiny_encoder):
    """The generator's limit, too, is checked before the teacher is trained."""
    short = saved(transformers.BertForMaskedLM, max_position_embeddings=16)
    for model, generator in ((short, tiny_encoder), (tiny_encoder, short)):
        result, out, _ = run(max_length=17, model=str(model), generator=generator)
        assert result.exit_code == 1
        assert result.output == f"teacher: max_length: got 17, but {short} takes 16 tokens; accepted: 8 to 16\n"
        assert not out.exists()


def test_frozen_layers_stay_as_they_were(run, tiny_encoder):
    result, out, _ = run(frozen=2, epochs={"source": 2, "target": 0.5})
    assert result.exit_code == 0, result.output
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny_encoder, out))
    names = {name: name.removeprefix("bert.") for name in after if "encoder.layer." in name or "embeddings" in name}
    same = {name for name in names if torch.equal(after[name], before.get(name, before.get(names[name])))}
    assert {name for name in names if ".layer.2." in name} == set(names) - same
    result, out, _ = run("deeper", frozen=4)
    assert result.output == "teacher: teacher.frozen: got 4, but the model has 3 layers; accepted: 0 to 3\n"
    assert (result.exit_code, out.exists()) == (1, False)


def test_a_teacher_without_attention(run, tmp_path, tokenizer):
    folder = tmp_path / "fnet"
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 3}
    model = transformers.FNetModel(transformers.FNetConfig(vocab_size=len(tokenizer), **sizes))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    result, out, _ = run(model=str(folder))
    assert result.exit_code == 1
    assert result.output.startswith("teacher: teacher.model: fnet models do not show their attention probabilities, ")
    assert not out.exists()


def test_a_model_of_the_hub(run, hub, tiny_encoder, tiny_masked_lm):
    hub.publish("someone/encoder", tiny_encoder, refs=("v1.0",))
    hub.publish("someone/masked-lm", tiny_masked_lm)
    epochs = {"source": 0, "target": 1}
    result, out, _ = run(model="someone/encoder@v1.0", generator="someone/masked-lm", epochs=epochs)
    assert result.exit_code == 0, result.output
    hub.stop()
    hub.forget()
    again, same, _ = run("again", model="someone/encoder@v1.0", generator="someone/masked-lm", epochs=epochs)
    local, own, _ = run("local", generator=tiny_masked_lm, epochs=epochs)
    assert (again.exit_code, local.exit_code) == (0, 0)
    assert contents(out) == contents(same) == contents(own)


def test_a_model_that_the_hub_does_not_give_is_one_line(run, hub, tiny_encoder):
    hub.publish("someone/gated", tiny_encoder)
    hub.repositories["model", "someone/gated"].refusal = 403
    hub.publish("someone/busy", tiny_encoder)
    hub.fail("models/someone/busy", status=429, headers={"Retry-After": "3600"})
    for name, said in {
        "gated": "is gated (403 Forbidden); ask for access on ",
        "busy": "is not a local folder, the hub asks to try again in 3600 s (429 Too Many Requests) and its cache has ",
        "none": "is not a local folder, and the hub has no such model (401 Unauthorized); accepted: ",
    }.items():
        result, out, _ = run(model=f"someone/{name}")
        assert (result.exit_code, result.stderr.count("\n"), out.exists()) == (1, 1, False)
        assert result.stderr.startswith(f"teacher: teacher.model: someone/{name} {said}")
