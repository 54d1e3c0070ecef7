"""What the teacher's encoder says of the test pairs before any training: Pearson's r of its cosine with the labels.

    python -m benchmarks.cosine
    python -m benchmarks.cosine --layers 3 --pick ends

The second takes some of its layers, as a student does. Reads params.yaml and data/prepared; the labels must be numbers,
such as people's scores of similarity.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.errors import exit_on_input_error
from pipeline.data.texts import Texts, read_texts
from pipeline.errors import InputError
from pipeline.evaluation.predicting import outputs, padded_batches
from pipeline.models.layers import take_layers
from pipeline.models.loading import load_classifier, load_tokenizer
from pipeline.models.pair_encoder import encode_each
from pipeline.models.tokenization import wrap_each_text
from pipeline.params.file import load
from pipeline.params.types import Pick
from pipeline.training.cosine_start import start_from_cosine

TEST = Path("data/prepared/test.parquet")


def main(
    layers: Annotated[int | None, typer.Option(help="Take so many layers.")] = None,
    pick: Annotated[Pick, typer.Option(help="Which, as student.pick.")] = "first",
) -> None:
    """Print Pearson's r."""
    params = load(Path("params.yaml"))
    texts = read_texts(TEST)
    if texts.pairs is None or texts.names:
        raise InputError(f"{TEST}: got {'single texts' if texts.pairs is None else 'classes'}; accepted: scored pairs")
    r = pearson(params.teacher.model, texts, params.max_length, layers, pick)
    print(f"cosine: Pearson's r {r:.3f} on {len(texts)} pairs")


def pearson(address: str, texts: Texts, max_length: int, layers: int | None = None, pick: Pick = "first") -> float:
    """Pearson's r of the cosines of an encoder's mean vectors with the labels of pairs.

    Args:
        layers, pick: how many of its layers are taken, and which; None for all.
    """
    tokenizer = load_tokenizer(address, "teacher.model")
    model = encode_each(load_classifier(address, "teacher.model", []), wrap_each_text(tokenizer, "teacher.model"))
    if layers is not None:
        model = take_layers(model, layers, pick, address)
    # Its answers are a line of the cosine, whatever the labels: r is that of the cosine, but for the sign.
    start_from_cosine(model, tokenizer, texts, max_length)
    slope = model.classifier.weight[0, 0].item()
    answers = outputs(model, padded_batches(tokenizer, texts, max_length))[:, 0]
    return float(np.sign(slope) * np.corrcoef(answers, texts.labels)[0, 1])


if __name__ == "__main__":
    with exit_on_input_error():
        typer.run(main)
