"""The paper's student as ONNX with weights of 8 bits, beside BERT-base in PyTorch: one text, and batches of 32.

    python -m benchmarks.speed.serving

Both have random weights: what is measured hangs on the sizes alone. The four take turns; a figure is the median of
forty turns with one text, of four with 32.
"""

import tempfile
from functools import partial
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, BertConfig

from benchmarks.one_line import one_line
from benchmarks.speed.measure import Figure, publish
from pipeline.serving.conversion import to_int8, to_onnx
from pipeline.serving.runtime import in_onnx, in_torch
from pipeline.serving.timing import LENGTHS, random_batch, timings

WORDS = 30522


def main() -> None:
    """Measure BERT-base and 4 layers of width 312."""
    torch.manual_seed(1)
    sizes = {"num_hidden_layers": 4, "hidden_size": 312, "intermediate_size": 1200, "num_attention_heads": 12}
    base = AutoModelForSequenceClassification.from_config(BertConfig(vocab_size=WORDS))
    small = AutoModelForSequenceClassification.from_config(BertConfig(vocab_size=WORDS, **sizes))
    example = random_batch(WORDS, 2, 16)
    example.pop("token_type_ids")
    with tempfile.TemporaryDirectory() as scratch:
        files = {name: Path(scratch) / f"{name}.onnx" for name in ("onnx", "int8")}
        to_onnx(small, example, files["onnx"])
        to_int8(files["onnx"], files["int8"])
        bytes_of = {"BERT-base": 4 * sum(weights.numel() for weights in base.parameters())}
        bytes_of["4 layers, 8 bits"] = files["int8"].stat().st_size
        runs = {
            "BERT-base": in_torch(base, torch.device("cpu")),
            "4 layers": in_torch(small, torch.device("cpu")),
            "4 layers, ONNX": in_onnx(files["onnx"]),
            "4 layers, 8 bits": in_onnx(files["int8"]),
        }
        found = timings(runs, dict.fromkeys(runs, partial(random_batch, WORDS)), dict.fromkeys(runs, 512))
    figures = [Figure(f"{name}: weights", size / 1e6, "MB") for name, size in bytes_of.items()]
    for tokens in LENGTHS:
        of = {name: each[f"tokens_{tokens}"] for name, each in found.items()}
        figures += [
            Figure(f"{name}: one text of {tokens} tokens", each["median_ms"], "ms") for name, each in of.items()
        ]
        figures += [
            Figure(f"{name}: {tokens} tokens, in batches", each["texts_per_second"], "texts a second")
            for name, each in of.items()
        ]
        faster = of["BERT-base"]["median_ms"] / of["4 layers, 8 bits"]["median_ms"]
        goal = 15 if tokens == max(LENGTHS) else None
        figures.append(Figure(f"8 bits faster than BERT-base: one text of {tokens} tokens", faster, "times", goal))
    publish("serving", figures)


if __name__ == "__main__":
    with one_line():
        main()
