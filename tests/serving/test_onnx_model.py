"""ONNX folders answered without torch and transformers, compared with both."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from pipeline.compute.batching import collate, encode
from pipeline.errors import InputError
from pipeline.models.loading import load_classifier, quiet
from pipeline.serving import onnx_model
from pipeline.serving.conversion import to_onnx
from pipeline.serving.onnx_model import ONNX, PAIRS_KEY, onnx_runner, open_onnx
from pipeline.serving.predict import predict_rows
from pipeline.serving.torch_model import ServedModel, torch_runner
from pipeline.storage.checksums import write_sums

MAX_LENGTH = 12
LONG = "the very dull plot of a cold film " * 20
TEXTS = ["a good film", "", "Ça et LÀ, naïve 😀!", "joke [SEP] joke <mask>", "unfunnyly slow\x00 plot\t.", LONG]
PAIRS = ["it was great", LONG, "", "x" * 300, "the cast </s>", LONG[::-1]]


def save(model, tokenizer, folder, *, pairs):
    """A folder as the stage `export` writes it."""
    folder.mkdir(exist_ok=True)
    example = encode(tokenizer, TEXTS[:2], PAIRS[:2] if pairs else None, MAX_LENGTH)
    to_onnx(model, collate(example, [0, 1]), folder / ONNX)
    setattr(model.config, PAIRS_KEY, pairs)
    with quiet():
        model.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": MAX_LENGTH}))
    write_sums(folder)


@pytest.fixture(scope="module")
def folders(tiny_classifier, tokenizer, byte_level, tmp_path_factory):
    """Two families, by name and whether they read pairs: the model and its folder."""
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    sizes |= {"vocab_size": len(byte_level), "max_position_embeddings": 66, "pad_token_id": byte_level.pad_token_id}
    made = {}
    for pairs in (False, True):
        bert = load_classifier(tiny_classifier, "student")
        # Pairs are told apart by the token types alone if these matter.
        bert.bert.embeddings.token_type_embeddings.weight.data.mul_(20)
        roberta = RobertaForSequenceClassification(RobertaConfig(**sizes, initializer_range=0.2)).eval()
        for name, model, its_tokenizer in (("bert", bert, tokenizer), ("roberta", roberta, byte_level)):
            folder = tmp_path_factory.mktemp(name)
            save(model, its_tokenizer, folder, pairs=pairs)
            made[name, pairs] = model, folder
    return made


@pytest.mark.parametrize("name", ["bert", "roberta"])
@pytest.mark.parametrize("pairs", [False, True])
def test_outputs_are_those_of_transformers_and_torch(folders, name, pairs):
    model, folder = folders[name, pairs]
    second = PAIRS if pairs else None
    outputs = open_onnx(folder).outputs(TEXTS, second)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    same_session = ServedModel(onnx_runner(folder / ONNX), tokenizer, [], MAX_LENGTH)
    np.testing.assert_allclose(outputs, same_session.outputs(TEXTS, second), atol=1e-6)
    by_torch = ServedModel(torch_runner(model, torch.device("cpu")), tokenizer, [], MAX_LENGTH)
    np.testing.assert_allclose(softmax(outputs), softmax(by_torch.outputs(TEXTS, second)), atol=1e-6)
    assert np.abs(outputs - outputs[0]).max(1)[1:].min() > 1e-3


def softmax(outputs):
    exps = np.exp(outputs.astype(float) - outputs.max(1, keepdims=True))
    return exps / exps.sum(1, keepdims=True)


def test_a_call_answers_as_the_rows_do(folders):
    _, folder = folders["bert", False]
    model = open_onnx(str(folder))
    answers = model.predict(TEXTS)
    rows = predict_rows(model, ({"text": text} for text in TEXTS), chunk=2)
    assert [(each["class"], each["probability"]) for each in answers] == [
        (row["predicted"], row["probability"]) for row in rows
    ]
    assert {each["class"] for each in answers} <= {"negative", "positive"}
    assert model.predict([]) == []


def test_threads_get_the_answers_that_one_gets(folders):
    model = open_onnx(folders["bert", True][1])
    texts = [[f"{text} {n}" for text in TEXTS] for n in range(40)]
    expected = [model.predict(each, PAIRS) for each in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda each: model.predict(each, PAIRS), texts)) == expected


def test_a_model_that_is_open_outlives_its_folder(folders, monkeypatch, tmp_path):
    """Also where another takes its place, as when a service's model is exchanged: the two are not mixed."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(onnx_model, "TOKENS", 24)
    model = open_onnx(shutil.copytree(folders["bert", True][1], tmp_path / "served"))
    expected = [model.predict([text], [pair])[0] for text, pair in zip(TEXTS, PAIRS, strict=True)]
    shutil.rmtree(tmp_path / "served")
    shutil.copytree(folders["roberta", True][1], tmp_path / "served")
    for one, other in zip(model.predict(TEXTS, PAIRS), expected, strict=True):
        assert one["class"] == other["class"]
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-5)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_many_batches_are_answered_in_order(folders, monkeypatch, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.setattr(onnx_model, "TOKENS", 24)
    model = open_onnx(folders["bert", True][1])
    texts = [f"{'film ' * n}{text}" for n in range(9) for text in TEXTS]
    expected = [model.outputs([text], [pair])[0] for text, pair in zip(texts, PAIRS * 9, strict=True)]
    np.testing.assert_allclose(model.outputs(texts, PAIRS * 9), expected, atol=1e-5)
    assert len({tuple(row) for row in np.round(expected, 4)}) > 20


@pytest.mark.parametrize(
    "work",
    [
        'from pipeline.serving.onnx_model import open_onnx\nassert open_onnx(folder).predict(["a film"])',
        'from stages.l2a import app\napp(["predict", "a film", "--model", folder], standalone_mode=False)',
    ],
)
def test_neither_torch_nor_transformers_is_imported(folders, work):
    code = f"""
import sys
folder = {str(folders["bert", False][1])!r}
{work}
assert not {{"torch", "transformers", "pyarrow", "pandas", "rich"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_other_kind_is_refused(folders):
    with pytest.raises(InputError, match="text_pair: got a pair; accepted: single texts, as the model or"):
        open_onnx(folders["bert", False][1]).predict(TEXTS, PAIRS)
    with pytest.raises(InputError, match="text_pair: got a single text; accepted: pairs, as the model or"):
        open_onnx(folders["bert", True][1]).predict(TEXTS)


@pytest.fixture
def folder(folders, tmp_path):
    """A folder of single texts that may be changed, without checksums."""
    shutil.copytree(folders["bert", False][1], tmp_path / "model")
    (tmp_path / "model" / "SHA256SUMS").unlink()
    return tmp_path / "model"


def change(file, **values):
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_a_tokenizer_of_another_model_is_refused(folder):
    change(folder / "config.json", vocab_size=50)
    with pytest.raises(InputError, match=r"--model: its tokenizer gives ids up to \d+, its embeddings end at 49"):
        open_onnx(folder, "--model")


def test_classes_that_are_not_numbered_from_0_are_refused(folder):
    change(folder / "config.json", id2label={"1": "a", "2": "b"})
    with pytest.raises(InputError, match=r"--model: id2label of its config\.json has the numbers 1, 2; accepted: 0, 1"):
        open_onnx(folder, "--model")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.onnx"])
def test_a_damaged_file_is_one_line(folder, name):
    (folder / name).write_text("{")
    with pytest.raises(InputError, match=r"--model: .* cannot be loaded \(") as caught:
        open_onnx(folder, "--model")
    assert "\n" not in str(caught.value)


def test_a_file_that_was_changed_is_refused(folders, tmp_path):
    shutil.copytree(folders["bert", False][1], tmp_path / "model")
    change(tmp_path / "model" / "tokenizer_config.json", model_max_length=8)
    with pytest.raises(InputError, match=r"--model: .*tokenizer_config\.json is not what was written"):
        open_onnx(tmp_path / "model", "--model")


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"folder: no such ONNX folder: .*; accepted: one with model\.onnx"):
        open_onnx(tmp_path)


@pytest.mark.slow
def test_names_that_transformers_does_not_write(tokenizer, saved, tmp_path):
    """Of two classes without names of their own, config.json has none."""
    source = saved(BertForSequenceClassification, id2label={0: "LABEL_0", 1: "LABEL_1"})
    save(load_classifier(source, "student"), tokenizer, tmp_path / "model", pairs=False)
    assert open_onnx(tmp_path / "model").names == ["LABEL_0", "LABEL_1"]


@pytest.mark.slow
def test_a_number_is_the_answer_of_a_regression(tokenizer, saved, tmp_path):
    source = saved(BertForSequenceClassification, id2label={0: "score"}, num_labels=1)
    save(load_classifier(source, "student"), tokenizer, tmp_path / "model", pairs=False)
    model = open_onnx(tmp_path / "model")
    assert model.predict(TEXTS) == pytest.approx(model.outputs(TEXTS, None)[:, 0], rel=5.1e-4, abs=0)
