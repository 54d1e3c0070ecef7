"""Wrong input is one line on standard error and loses no file; unusual but valid input works."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import (
    BertTokenizer,
    GPT2Config,
    GPT2ForSequenceClassification,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaModel,
)
from typer.testing import CliRunner

from pipeline.augment.shards import read_augmented
from pipeline.errors import InputError
from pipeline.models.loading import quiet
from pipeline.storage.atomic import publish_folder
from stages import augment, cache_teacher, distill, evaluate, generator, prepare, student_ft, teacher

CHAIN = (prepare, teacher, generator, augment, cache_teacher, distill, student_ft, evaluate)
ODD = [
    "a good film " * 3500,
    "good",
    "?! ... !!!",
    "😀🎉",
    "a\x00b \x07\x1b[31m slow\x7f film",
    "סרט טוב מאוד",
    "\u202ea poor plot\u202c",
    "[MASK] a [SEP] fine <mask> cast </s> [PAD]",
    "\u0301",
    "x" * 5000,
    "中文电影\r\nis\u2028bad",
    '"the", joke\n= was ; too "slow',
]


@pytest.fixture
def run(tmp_path, monkeypatch, tiny_encoder, tiny_masked_lm, reviews):
    """Run a stage in a folder with tables `source.csv` and `target.csv`: exit code, standard output and error."""
    monkeypatch.chdir(tmp_path)
    for name, rows, seed in (("source", 16, 1), ("target", 36, 2)):
        texts = reviews(rows, seed)
        table = pd.DataFrame({"text": texts.texts, "label": [texts.names[label] for label in texts.labels]})
        table.assign(text=table["text"] + [f" {row}" for row in range(rows)]).to_csv(f"{name}.csv", index=False)

    def run(stage, *options, text=None, **sections):
        params = {
            "max_length": 24,
            "data": {
                "source": {"path": "source.csv"},
                "target": {"path": "target.csv", "rows": 8, "validation": 6, "test": 8},
            },
            "teacher": {"model": str(tiny_encoder), "epochs": {"source": 1, "target": 1}},
            "generator": {"model": str(tiny_masked_lm)},
            "augment": {"samples": {"source": 1, "target": 2}, "shards": 2},
            "student": {"layers": 2},
            "distill": {"epochs": 1, "least_steps": 0},
            "evaluate": {"resamples": 100, "student_ft": {"epochs": 1}},
        }
        for name, section in sections.items():
            params[name] = {**params.get(name, {}), **section} if isinstance(section, dict) else section
        Path("params.yaml").write_text(text or yaml.safe_dump(params))
        result = CliRunner().invoke(stage.app, [str(option) for option in options])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture
def work(run):
    """Run these stages, by default all, and fail if one of them fails."""

    def work(*stages, **sections):
        for stage in stages or CHAIN:
            code, _, error = run(stage, **sections)
            assert (code, error) == (0, ""), (stage.__name__, error)

    return work


@pytest.fixture
def refusal(run, tmp_path):
    """The one line of a stage that fails and changes no file in the folder."""

    def contents():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".yaml"}

    def refusal(stage, *options, code=1, **sections):
        before = contents()
        exit_code, output, error = run(stage, *options, **sections)
        assert (exit_code, output, error.count("\n")) == (code, "", 1), error
        assert contents() == before
        return error.partition(": ")[2].rstrip("\n")

    return refusal


@pytest.fixture
def broken(tiny_encoder, tmp_path):
    """A copy of the tiny encoder without some of its files: `broken("config.json")`."""

    def broken(*missing):
        folder = tmp_path / "model"
        shutil.copytree(tiny_encoder, folder, ignore=shutil.ignore_patterns(*missing))
        return folder

    return broken


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prepraed", "x"], "No such option: --prepraed (Possible options: --prepared)"),
        (["x"], "Got unexpected extra argument"),
        (["--out"], "Option '--out' requires an argument."),
    ],
)
def test_a_wrong_command_line(refusal, options, message):
    assert refusal(augment, *options, code=2).startswith(message)


def test_outs_that_cannot_be_written(refusal, tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("file", "mine/notes.txt"):
        (tmp_path / name).write_text("mine")
    assert refusal(prepare, "--out", "file/x").startswith("--out: file/x cannot be written: ")
    assert refusal(prepare, "--metrics", "file/x").endswith("/file is a file")
    assert refusal(distill, "--out", "file") == "--out: file is a file; accepted: a folder"
    assert refusal(distill, "--selection", "mine") == "--selection: mine is a folder; accepted: a file"
    assert refusal(teacher, "--metrics", "file").startswith("--metrics: file would be replaced, but no stage has ")
    assert refusal(teacher, "--out", "mine").startswith("--out: mine would be replaced whole, but holds notes.txt, ")
    assert refusal(teacher, "--out", ".") == "--out: . would be replaced whole; accepted: a folder inside it"
    (tmp_path / "data" / "raw").mkdir(parents=True)
    assert "holds raw, " in refusal(prepare, "--out", "data")


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    with publish_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
    assert (tmp_path / "out").is_symlink()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["a"]


def test_a_work_cache_that_is_a_file(refusal, work, tmp_path, monkeypatch):
    work(prepare, generator)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "the work cache cannot be written (Not a directory); accepted: XDG_CACHE_HOME set " in refusal(augment)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nalpha: 1\nseed: 2\n", "params.yaml: not YAML: duplicate key seed, line 3"),
        ("data: {target: {path: ~nobody-here/t.csv, rows: 8}}", "data.target.path: no such file: ~nobody-here/t.csv"),
        ("data: {target: {path: t.csv, rows: 8}}", "data.target.path: t.csv is a folder; accepted: a file, or a patt"),
        ("data: {target: {path: target.csv, where: {label: postive}, rows: 8}}",
         "data.target.where: no row of target.csv has postive in column 'label'; found: negative, positive; nearest"),
        ("data: {target: {path: same.csv, rows: 8, test: 4}}",
         "data.target.test: got 4; the target has 2 rows (0 empty, 0 leaked, 4 duplicate of its 6 rows were dropped)"),
        ("data: {target: {path: target.csv, rows: 8}, labels: []}", "params.yaml: data.labels: got []; accepted: at l"),
        ("data: {target: {path: t.csv, rows: 8}}\naugment: {samples: {source: 9, target: 0}}\ndistill: {originals: []}",
         "params.yaml: augment.samples: 0 for target, and distill.originals is []; accepted: "),
    ],
)  # fmt: skip
def test_params_and_tables(refusal, tmp_path, text, message):
    (tmp_path / "t.csv").mkdir()
    (tmp_path / "same.csv").write_text("text,label\n" + "good,a\nbad,b\n" * 3)
    assert refusal(prepare, text=text).startswith(message)


def weights(folder, change):
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def test_incomplete_models(work, refusal, broken):
    work(prepare)
    for without, message in (
        ("config.json", "teacher.model: ./model has no config.json; accepted: "),
        ("tokenizer*", "teacher.model: ./model has no fast tokenizer; accepted: a folder with tokenizer.json"),
        (
            "model.safetensors",
            "teacher.model: ./model has no model.safetensors or shards of it; accepted: safetensors only",
        ),
    ):
        folder = broken(without)
        (folder / "pytorch_model.bin").write_bytes(b"")
        assert refusal(teacher, teacher={"model": "./model"}).startswith(message)
        shutil.rmtree(folder)
    for change, message in (
        (lambda file: file.write_bytes(file.read_bytes()[:-100]), "cannot be loaded (SafetensorError: "),
        (lambda file: weights(file.parent, lambda all_: dict(list(all_.items())[:9])), "does not hold the model that "),
        (
            lambda file: weights(file.parent, lambda all_: {n: w[..., :16].clone() for n, w in all_.items()}),
            "does not ",
        ),
    ):
        folder = broken()
        change(folder / "model.safetensors")
        for stage, key in ((teacher, "teacher"), (generator, "generator")):
            assert refusal(stage, **{key: {"model": "./model"}}).startswith(f"{key}.model: ./model {message}")
        shutil.rmtree(folder)


def test_models_of_another_kind(work, refusal, broken, byte_level):
    work(prepare)
    folder = broken()
    (folder / "config.json").write_text(
        (folder / "config.json").read_text().replace('"vocab_size": 104', '"vocab_size": 60')
    )
    weights(folder, lambda all_: {n: (w[:60].clone() if "word_embeddings" in n else w) for n, w in all_.items()})
    assert refusal(teacher, teacher={"model": "./model"}).startswith("teacher: its tokenizer gives ids up to 103, its ")
    with quiet():
        GPT2ForSequenceClassification(GPT2Config(vocab_size=400, n_embd=8, n_layer=1, n_head=1)).save_pretrained("gpt")
        byte_level.save_pretrained("gpt")
    assert refusal(teacher, teacher={"model": "./gpt"}).startswith("teacher.model: ./gpt is a gpt2; accepted: an enco")


def test_a_student_of_another_script_is_found_before_training(work, refusal, broken):
    work(prepare, teacher)
    tokenizer = BertTokenizer(
        vocab={piece: i for i, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "电"])}
    )
    tokenizer.save_pretrained(broken("tokenizer*"))
    for stage in (teacher, distill):
        line = refusal(stage, student={"init": "encoder", "model": "./model", "layers": 2})
        assert line.startswith("student.model: ./model: its vocabulary has 0 of the ")


def test_the_model_of_another_stage(work, refusal, tiny_encoder):
    work(prepare, teacher, generator, augment)
    assert refusal(augment, "--generator", "models/teacher").startswith("generator: models/teacher has no masked-LM ")
    message = "has no classification head; accepted: a model that was fine-tuned"
    for folder in ("models/generator", tiny_encoder):
        assert refusal(cache_teacher, "--teacher", folder, max_length=23) == f"teacher: {folder} {message}"
    named = ("--teacher", "models/teacher", "--student", "models/generator", "--student-ft", "models/teacher")
    assert refusal(evaluate, *named) == f"student: models/generator {message}"


def test_a_generator_whose_weights_are_nan(work, refusal, broken, tiny_masked_lm, tmp_path):
    work(prepare)
    learning = {"steps": 2, "text": {"path": "source.csv"}, "learning_rate": 1e30, "warmup": 0}
    assert refusal(generator, generator=learning).startswith("generator.learning_rate: got 1e+30, with which the loss ")
    shutil.copytree(tiny_masked_lm, tmp_path / "nan")
    weights(tmp_path / "nan", lambda all_: {name: weight * torch.nan for name, weight in all_.items()})
    assert refusal(augment, "--generator", "nan").startswith("generator: nan is damaged: some of its weights are NaN ")


@pytest.mark.slow
def test_errors_of_distill_keep_the_outs_of_the_last_run(work, refusal, tmp_path):
    work(prepare, teacher, generator, augment, cache_teacher, distill)
    again = "; run the cache_teacher stage again"
    assert refusal(distill, distill={"learning_rate": 1e30, "warmup": 0}).startswith("distill.learning_rate: got 1e+30")

    # Shards and a teacher that the cache was not made with, under the same names.
    run_again = {"seed": 2, "teacher": {"domains": ["target"], "epochs": {"source": 0, "target": 1}}}
    shutil.copytree("models/teacher", "old")
    work(augment, teacher, **run_again)
    assert refusal(distill).startswith("teacher cache: it has another text for id 'source-000001-001'" + again)
    work(augment)
    assert refusal(distill) == f"data/teacher: made by another teacher than models/teacher{again}"

    named = ("--teacher", "old")
    for folder in ("data/prepared", "data/augmented"):
        assert "not the index of a teacher cache; accepted: " in refusal(distill, *named, "--cache", folder)
    assert "no column 'domain'; accepted: " in refusal(distill, *named, "--augmented", "data/prepared")
    for name in ("data/augmented/target-00000-of-00002.parquet", "data/teacher/target-00000-of-00002.parquet",
                 "data/teacher/target-00000-of-00002.hidden.npy"):  # fmt: skip
        whole = Path(name).read_bytes()
        for damaged in (b"", whole[: len(whole) // 2]):
            Path(name).unlink()
            Path(name).write_bytes(damaged)
            message = refusal(distill, *named)
            assert message.startswith(f"{name}: ")
            assert "damaged" in message
        Path(name).write_bytes(whole)
    work(cache_teacher, distill)


def test_odd_texts(work, tmp_path):
    table = pd.DataFrame({"text": ODD, "label": ["positive", "negative"] * 6})
    table.to_json("odd.jsonl", orient="records", lines=True)
    target = {"path": "target.csv", "rows": 8, "validation": 6, "test": 8}
    work(data={"source": {"path": "odd.jsonl"}, "target": target}, distill={"originals": ["source", "target"]})
    assert set(pq.read_table("data/prepared/source.parquet")["text"].to_pylist()) == set(ODD)
    augmented = read_augmented(Path("data/augmented")).to_pandas()
    assert set(augmented["original_text"]) >= set(ODD) - {"\u0301"}


@pytest.mark.slow
def test_odd_pairs_numbers_and_bytes(work, byte_level, tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
    config = RobertaConfig(vocab_size=len(byte_level), max_position_embeddings=66, pad_token_id=1, **sizes)
    for name, kind in (("encoder", RobertaModel), ("lm", RobertaForMaskedLM)):
        with quiet():
            kind(config).save_pretrained(tmp_path / name)
            byte_level.save_pretrained(tmp_path / name)
    for name, texts in (("source", ODD), ("target", pd.read_csv("target.csv")["text"].tolist())):
        rows = [{"text": a, "pair": b, "label": i / 7} for i, (a, b) in enumerate(zip(texts, texts[::-1], strict=True))]
        pd.DataFrame(rows).to_json(f"{name}.jsonl", orient="records", lines=True)
    columns = {"text": "text", "text_pair": "pair"}
    sections = {
        "task": "regression",
        "data": {
            "source": {"path": "source.jsonl", "columns": columns},
            "target": {"path": "target.jsonl", "columns": columns, "rows": 8, "validation": 6, "test": 8},
        },
        "teacher": {"model": "./encoder"},
        "generator": {"model": "./lm"},
        "augment": {"fill": "sequential", "side": "second"},
    }
    work(**sections, selector={"representations": True})
    bilstm = {"student": {"init": "bilstm"}, "objectives": {"attention": 0, "hidden": 0, "logits": 1}}
    work(distill, student_ft, evaluate, **sections, **bilstm)
    assert json.loads(Path("models/student/config.json").read_text())["pairs"] is True
    augmented = read_augmented(Path("data/augmented")).to_pandas()
    assert (augmented["text"] == augmented["original_text"]).all()
    assert (augmented["text_pair"] != augmented["original_text_pair"]).all()


@pytest.mark.parametrize(
    ("classes", "sections"),
    [
        (["x", "y", "z"], {"teacher": {"domains": ["target"]}, "distill": {"originals": ["source"]}}),
        (None, {"augment": {"samples": {"source": 0, "target": 0}}, "student": {"init": "encoder"}}),
    ],
)
def test_other_classes_and_originals_only(work, tmp_path, tiny_encoder, classes, sections):
    target = pd.read_csv("target.csv")
    target.assign(label=[["good", "bad", "so-so"][row % 3] for row in range(len(target))]).to_csv("target.csv")
    source = pd.read_csv("source.csv")
    if classes:
        source.assign(label=[classes[row % 3] for row in range(len(source))]).to_csv("source.csv")
    data = {"target": {"path": "target.csv", "rows": 9, "validation": 6, "test": 9}}
    work(data=data | {"source": {"path": "source.csv"} if classes else None}, **sections)
    predicted = pd.read_csv("plots/predictions.csv")
    assert set(predicted["student"]) <= {"good", "bad", "so-so"}
    assert len(pd.read_parquet("data/selection.parquet")) == (len(source) + 18 if classes else 0)


def test_a_publishing_error_names_the_path_that_the_user_gave(tmp_path):
    with pytest.raises(OSError, match="No space left") as error, publish_folder(tmp_path / "out") as folder:
        raise OSError(28, "full", str(folder / "a"))
    assert error.value.filename == str(tmp_path / "out")
    with pytest.raises(InputError), publish_folder(tmp_path / "out"):
        raise InputError("as it is")
