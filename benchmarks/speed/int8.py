"""int8 as `export` makes it beside `quantize_dynamic` of onnxruntime alone: error of the logits, size and throughput.

    python -m benchmarks.speed.int8

Both have int8 weights with a scale for each row of a matrix. For the default's student and teacher, the error is the
mean absolute difference from the float32 model's logits over test texts in batches of eight. The two take turns; a
ratio is the median of five rounds' ratios after one of warm-up.
"""

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from onnxruntime.quantization import QuantType, quantize_dynamic

from benchmarks.errors import exit_on_input_error
from benchmarks.speed import default_run
from benchmarks.speed.measure import Figure, publish, ratio, side_by_side, timed
from pipeline.compute.batching import Inputs, collate, encode
from pipeline.data.texts import read_texts
from pipeline.evaluation.prediction import Outputs
from pipeline.models.loading import load_classifier, load_tokenizer
from pipeline.serving.conversion import quiet_converters, to_onnx
from pipeline.serving.export import examples
from pipeline.serving.int8 import to_int8
from pipeline.serving.onnx_model import onnx_runner
from pipeline.serving.torch_model import Runner

TEXTS = 200
BATCH = 8


def main() -> None:
    """Measure the student and the teacher."""
    figures = [figure for role in ("student", "teacher") for figure in compare(role)]
    publish("int8", figures)


def compare(role: str) -> list[Figure]:
    """The figures of one model of the default run."""
    model = load_classifier(default_run.output(f"models/{role}"), role)
    tokenizer = load_tokenizer(default_run.output(f"models/{role}"), role)
    prepared, max_length = default_run.output("data/prepared"), default_run.default_params().max_length
    test = read_texts(prepared / "test.parquet")
    encoded = encode(tokenizer, test.texts[:TEXTS], test.pairs and test.pairs[:TEXTS], max_length)
    batches = [collate(encoded, range(start, min(start + BATCH, TEXTS))) for start in range(0, TEXTS, BATCH)]
    with tempfile.TemporaryDirectory() as scratch:
        files = {name: Path(scratch) / f"{name}.onnx" for name in ("float32", "ours", "library")}
        to_onnx(model, batches[0], files["float32"])
        to_int8(files["float32"], files["ours"], examples(tokenizer, prepared, max_length))
        with quiet_converters():
            quantize_dynamic(
                files["float32"], files["library"], weight_type=QuantType.QInt8, per_channel=True, reduce_range=True
            )
        runners = {name: onnx_runner(file) for name, file in files.items()}
        error = errors(runners, batches)
        size = {name: file.stat().st_size for name, file in files.items()}
        seconds = side_by_side({name: timed(partial(outputs, runners[name], batches)) for name in ("ours", "library")})
    return [
        Figure(f"{role}: share of the library's error", 100 * error["ours"] / error["library"], "%", 50, at_most=True),
        Figure(f"{role}: size of the file", size["ours"] / size["library"], "times the library's", 1.05, at_most=True),
        Figure(f"{role}: throughput", ratio(seconds, "library", "ours"), "times the library's", 0.95),
        Figure(f"{role}: mean error of a logit", error["ours"], ""),
        Figure(f"{role}: mean error of a logit with the library alone", error["library"], ""),
        Figure(f"{role}: the file in int8", size["ours"] / 1e6, "MB"),
    ]


def outputs(run: Runner, batches: list[Inputs]) -> Outputs:
    """Logits of all batches, (texts, outputs)."""
    return np.concatenate([run(batch) for batch in batches])


def errors(runners: Mapping[str, Runner], batches: list[Inputs]) -> dict[str, float]:
    """The mean difference of each model's logits from those in float32."""
    expected = outputs(runners["float32"], batches)
    return {name: float(np.abs(outputs(run, batches) - expected).mean()) for name, run in runners.items()}


if __name__ == "__main__":
    with exit_on_input_error():
        main()
