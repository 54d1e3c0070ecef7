"""The paper's student as int8 ONNX beside BERT-base in PyTorch: one text, and batches of 32.

    python -m benchmarks.speed.serving

Both have random weights: the time depends only on the sizes. The four models take turns; a figure is the median of
forty turns with one text, or of four with 32.
"""

import tempfile
from functools import partial
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, BertConfig

from benchmarks.errors import exit_on_input_error
from benchmarks.speed.measure import Figure, publish
from pipeline.serving.conversion import to_onnx
from pipeline.serving.int8 import to_int8
from pipeline.serving.onnx_model import onnx_runner
from pipeline.serving.timing import LENGTHS, random_batch, timings
from pipeline.serving.torch_model import torch_runner

VOCABULARY_SIZE = 30522


def main() -> None:
    """Measure BERT-base and 4 layers of width 312."""
    torch.manual_seed(1)
    sizes = {"num_hidden_layers": 4, "hidden_size": 312, "intermediate_size": 1200, "num_attention_heads": 12}
    base = AutoModelForSequenceClassification.from_config(BertConfig(vocab_size=VOCABULARY_SIZE))
    small = AutoModelForSequenceClassification.from_config(BertConfig(vocab_size=VOCABULARY_SIZE, **sizes))
    example = random_batch(VOCABULARY_SIZE, 2, 16)
    example.pop("token_type_ids")
    with tempfile.TemporaryDirectory() as scratch:
        files = {name: Path(scratch) / f"{name}.onnx" for name in ("onnx", "int8")}
        to_onnx(small, example, files["onnx"])
        to_int8(files["onnx"], files["int8"], [example])
        weight_bytes = {"BERT-base": 4 * sum(weights.numel() for weights in base.parameters())}
        weight_bytes["4 layers, int8"] = files["int8"].stat().st_size
        runners = {
            "BERT-base": torch_runner(base, torch.device("cpu")),
            "4 layers": torch_runner(small, torch.device("cpu")),
            "4 layers, ONNX": onnx_runner(files["onnx"]),
            "4 layers, int8": onnx_runner(files["int8"]),
        }
        measured = timings(
            runners, dict.fromkeys(runners, partial(random_batch, VOCABULARY_SIZE)), dict.fromkeys(runners, 512)
        )
    figures = [Figure(f"{name}: weights", size / 1e6, "MB") for name, size in weight_bytes.items()]
    for tokens in LENGTHS:
        models = {name: each[f"tokens_{tokens}"] for name, each in measured.items()}
        figures += [
            Figure(f"{name}: one text of {tokens} tokens", each["median_ms"], "ms") for name, each in models.items()
        ]
        figures += [
            Figure(f"{name}: {tokens} tokens, in batches", each["texts_per_second"], "texts per second")
            for name, each in models.items()
        ]
        faster = models["BERT-base"]["median_ms"] / models["4 layers, int8"]["median_ms"]
        goal = 15 if tokens == max(LENGTHS) else None
        figures.append(Figure(f"int8 faster than BERT-base: one text of {tokens} tokens", faster, "times", goal))
    publish("serving", figures)


if __name__ == "__main__":
    with exit_on_input_error():
        main()
