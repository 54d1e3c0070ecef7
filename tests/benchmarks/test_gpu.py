"""The GPU benchmark on tiny models, on the CPU: what it packs, counts, compares and does without."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from packaging.requirements import Requirement
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from benchmarks.gpu import __main__ as commands
from benchmarks.gpu import agreement, formats, work
from benchmarks.gpu.counts import counts
from benchmarks.gpu.inputs import read_params
from benchmarks.gpu.packing import cut_down
from benchmarks.speed import flops
from pipeline.augment.adapter import save_adapter, with_adapter
from pipeline.augment.shards import read_augmented
from pipeline.compute import distributed
from pipeline.compute.precision import precision
from pipeline.data.texts import read_texts
from pipeline.models.loading import load_masked_lm
from pipeline.params.file import load

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
LACKING = ("dvc", "dvclive", "datasets", "ruamel", "onnx", "onnxruntime", "onnxscript", "markupsafe", "jinja2")
"""Packages that a machine of the benchmark need not have."""


@pytest.fixture(scope="module")
def preset(reviews, tiny_encoder, tmp_path_factory):
    """A params file over tiny models and tables, with an adapter for the generator."""
    folder = tmp_path_factory.mktemp("preset")
    for name, number, seed in (("source", 60, 1), ("target", 120, 2)):
        texts = reviews(number, seed)
        labels = [texts.names[label] for label in texts.labels]
        pd.DataFrame({"text": texts.texts, "label": labels}).to_csv(folder / f"{name}.csv", index=False)
    model, _ = load_masked_lm(tiny_encoder, "model")
    save_adapter(with_adapter(model, 2), folder / "adapter.safetensors")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["max_length"] = 24
    params["generator"] = {"model": str(tiny_encoder), "adapter": str(folder / "adapter.safetensors")}
    params["data"] = {
        "source": {"path": str(folder / "source.csv"), "rows": 24},
        "target": {"path": str(folder / "target.csv"), "per_class": 6, "validation": 20, "test": 40},
    }
    params["teacher"] |= {"model": str(tiny_encoder), "epochs": {"source": 1, "target": 2}, "frozen": 0}
    params["student"] |= {"init": "teacher", "layers": 2, "model": None}
    params["augment"] |= {"samples": {"source": 0, "target": 3}, "shards": 2}
    params["distill"] |= {"epochs": 1, "least_steps": 4, "batch_size": 16}
    params["selector"] |= {"every": 2}
    params["evaluate"] = {"resamples": 100, "student_ft": {"epochs": 1}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(params))
    return folder / "tiny.yaml"


@pytest.fixture(scope="module")
def packed(preset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu") / "packed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "PRESET", preset)
        commands.pack(folder, share=1.0)
    return folder


@pytest.fixture(scope="module")
def results(packed, tmp_path_factory):
    """The figures of each format on this CPU, by name."""
    out = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flops, "SIZE", 64)
        commands.run(packed, out=out)
    written = {file.stem: json.loads(file.read_text()) for file in out.iterdir()}
    return {name: {each["name"]: each["value"] for each in found["figures"]} for name, found in written.items()}


def test_weights_are_float16_and_there_is_one_set_of_them(packed):
    files = sorted(file.relative_to(packed) for file in packed.rglob("*.safetensors"))
    assert files == [Path("model/model.safetensors"), Path("reference/logits.safetensors")]
    weights = load_file(packed / "model" / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float16}
    assert all(Requirement(line).specifier for line in (packed / "wheels.txt").read_text().splitlines())


def test_the_same_machine_in_float32_agrees_wholly(results):
    figures = results["float32"]
    assert figures["logits: largest difference from the CPU's"] == 0
    assert figures["logits: texts with the CPU's class"] == figures["neighbours: with the CPU's words"] == 100
    for model in ("teacher", "student"):
        assert figures[f"{model}: accuracy"] == figures[f"{model}: accuracy on the CPU"]


def test_bfloat16_rounds_and_no_more(results):
    figures = results["bfloat16"]
    assert results.keys() == {"float32", "bfloat16"}
    spread = figures["logits: standard deviation on the CPU"]
    assert 0 < figures["logits: largest difference from the CPU's"] < 0.1 * spread
    assert 50 < figures["neighbours: with the CPU's words"] <= 100
    before = figures["neighbours: mean log P of a word on the CPU"]
    assert figures["neighbours: mean log P of a word"] == pytest.approx(before, abs=0.05)


def test_each_stage_has_its_figures(results):
    for stage in ("teacher", "augment", "cache_teacher", "distill", "evaluate"):
        for figure in ("time", "tokens", "share of the matrix rate"):
            assert results["float32"][f"{stage}: {figure}"] > 0
        # A CPU has no memory of its own.
        assert f"{stage}: peak memory of the GPU" not in results["float32"]


def test_tokens_are_those_that_the_stages_read(packed, tmp_path):
    work.do_work(packed, tmp_path)
    params, prepared = read_params(packed), packed / "prepared"
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "teacher")

    def tokens(texts):
        return sum(len(tokenizer(text, truncation=True, max_length=params.max_length)["input_ids"]) for text in texts)

    source, target = (read_texts(prepared / name).texts for name in ("teacher_source.parquet", "train.parquet"))
    neighbours = read_augmented(tmp_path / "augmented", ["text"])["text"].to_pylist()
    taught = neighbours + read_texts(prepared / "source.parquet").texts + target
    tested = read_texts(prepared / "test.parquet").texts + read_texts(prepared / "validation.parquet").texts
    found = counts(packed, tmp_path)
    assert found["teacher"].tokens == tokens(source) + 2 * tokens(target)
    assert found["augment"].tokens == tokens(neighbours)
    assert found["cache_teacher"].tokens == tokens(taught)
    # Two epochs, because one has fewer than four batches of 16.
    epochs = -(-4 // -(-len(taught) // 16))
    assert found["distill"].tokens == epochs * tokens(taught)
    assert found["evaluate"].tokens == 2 * tokens(tested)
    # Three layers against two and the one that pools: a step is three passes of a model as large.
    assert found["distill"].operations == pytest.approx(3 * epochs * found["cache_teacher"].operations, rel=0.05)


def test_disagreement_is_seen(packed, tmp_path):
    reference, other = packed / "reference", tmp_path / "other"
    shutil.copytree(reference, other)
    logits = load_file(reference / "logits.safetensors")["logits"]
    logits[3] = -logits[3]
    save_file({"logits": logits}, other / "logits.safetensors")
    shard = next(file for file in sorted((other / "augmented").iterdir()) if pq.read_metadata(file).num_rows)
    table = pq.read_table(shard)
    words = table["new_words"].to_pylist()
    words[0][0] = "another"
    column = table.column_names.index("new_words")
    pq.write_table(table.set_column(column, table.schema.field(column), pa.array(words)), shard)
    scores = json.loads((other / "evaluation.json").read_text())
    scores["student"]["accuracy"] = 0.25
    (other / "evaluation.json").write_text(json.dumps(scores))
    figures = {figure.name: figure.value for figure in agreement.agreement(reference, other)}
    assert figures["logits: largest difference from the CPU's"] == pytest.approx(2 * float(logits[3].abs().max()))
    assert figures["logits: texts with the CPU's class"] == pytest.approx(100 * 39 / 40)
    neighbours = read_augmented(reference / "augmented", ["id"]).num_rows
    assert figures["neighbours: with the CPU's words"] == pytest.approx(100 * (neighbours - 1) / neighbours)
    assert figures["student: accuracy"] == 25 != figures["student: accuracy on the CPU"]


def test_it_runs_without_dvc_and_what_else_a_machine_may_lack(packed, tmp_path):
    code = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({LACKING!r}))
from benchmarks.speed import flops
flops.SIZE = 64
sys.argv = ["gpu", "run", {str(packed)!r}, "--out", {str(tmp_path)!r}]
runpy.run_module("benchmarks.gpu", run_name="__main__")
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bfloat16.json", "float32.json"]
    assert "| cache_teacher: tokens |" in done.stdout


def test_what_is_refused_in_one_line(packed, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        commands.run(tmp_path, out=tmp_path / "out")
    with pytest.raises(SystemExit):
        commands.pack(tmp_path / "packed", share=0.0)
    monkeypatch.setattr(distributed, "device", lambda: torch.device("cuda", 0))
    with pytest.raises(SystemExit):
        commands.pack(tmp_path / "packed", share=1.0)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("; accepted: ")[0] for line in lines] == [
        f"{tmp_path}: no params.json",
        "--share: got 0.0",
        "pack: got cuda:0",
    ]
    assert not (tmp_path / "packed").exists()


def test_a_try_is_cut_down_in_texts_and_steps():
    params = cut_down(load(ROOT / "presets" / "quick.yaml"), 0.1)
    assert (params.data.source.rows, params.data.source.sentences) == (150, 400)
    assert (params.data.target.test, params.distill.least_steps) == (200, 15)
    assert params.data.target.per_class == 40


def test_formats_are_set_and_given_back(monkeypatch):
    monkeypatch.setenv("L2A_PRECISION", "float32")
    assert formats.formats_of(CPU) == ["float32", "bfloat16"]
    assert formats.formats_of(torch.device("cuda")) == ["float32", "tf32", "bfloat16"]
    ones = torch.ones(2, 2)
    for number, dtype, products in (
        ("float32", torch.float32, "highest"),
        ("tf32", torch.float32, "high"),
        ("bfloat16", torch.bfloat16, "highest"),
    ):
        with formats.computing_in(number), precision(CPU):
            assert (ones @ ones).dtype == dtype
            assert torch.get_float32_matmul_precision() == products
    assert torch.get_float32_matmul_precision() == "highest"
    assert os.environ["L2A_PRECISION"] == "float32"
    monkeypatch.delenv("L2A_PRECISION")
    with pytest.raises(ZeroDivisionError), formats.computing_in("bfloat16"):
        _ = 1 / 0
    assert "L2A_PRECISION" not in os.environ
