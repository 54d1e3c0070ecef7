"""What transformers.js answers from `share/onnx`, beside `l2a predict`."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipeline.params.schema import Params
from pipeline.serving.export import export
from pipeline.serving.onnx_model import open_onnx
from pipeline.sharing.share import share

SCRIPT = Path(__file__).parent / "javascript"
TEXTS = ["the film is good .", "a very dull and cold plot , never funny", "it was time", "joke"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("npm") is None, reason="Node.js is not installed")
def test_transformers_js_answers_as_predict_does(
    sampled_params: Params, uneven: Path, augmented: Path, tiny_classifier: Path, tmp_path: Path
) -> None:
    models = {"student": tiny_classifier, "onnx": tmp_path / "models/onnx", "int8": tmp_path / "models/int8"}
    export(
        sampled_params,
        prepared=uneven,
        teacher=tiny_classifier,
        student=tiny_classifier,
        augmented=[augmented],
        outs={name: models[name] for name in ("onnx", "int8")},
        metrics=tmp_path / "serving.json",
    )
    evaluation = tmp_path / "evaluation.json"
    evaluation.write_text(json.dumps({"student": {"accuracy": 0.75, "f1": 0.5, "mcc": 0.4}}))
    outs = {f"{name}_out": tmp_path / f"share/{name}" for name in ("model", "onnx", "data")}
    share(sampled_params, **models, augmented=augmented, evaluation=evaluation, **outs)
    for file in SCRIPT.iterdir():
        shutil.copyfile(file, tmp_path / file.name)
    words = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    installed = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"npm cannot install transformers.js: {installed.stderr.splitlines()[-1:]}")
    for dtype, name in (("fp32", "onnx"), ("q8", "int8")):
        model = open_onnx(models[name])
        words = ["node", "classify.js", "share/onnx", dtype, *TEXTS]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        for text, answer in zip(TEXTS, json.loads(done.stdout), strict=True):
            logits = model.outputs([text], None)[0]
            probs = np.exp(logits) / np.exp(logits).sum()
            assert answer["label"] == model.names[probs.argmax()]
            assert answer["score"] == pytest.approx(probs.max(), abs=1e-6)
