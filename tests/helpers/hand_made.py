"""Artifacts written by hand: shards of neighbours, π of each, and a model that predicts both classes equally often."""

import json

import numpy as np
import pyarrow as pa
import torch

from pipeline.data.texts import Texts
from pipeline.evaluation.predicting import predict
from pipeline.models.loading import load_classifier, load_tokenizer, quiet
from pipeline.storage.columns import augmented_schema
from pipeline.storage.parquet import write_table

PARAMS = {
    "alpha": 1.0,
    "augment": {"method": "neighbours", "count": "rescaled", "min_distance": 1, "side": "both"},
    "max_length": 16,
}


def neighbour(id_="t0-001", original="a good film", text="a bad film", pair=(None, None), **changes):
    """A row of `augmented`; spans that are not among `changes` are where the words first occur."""
    words = {"old_words": ["good"], "new_words": ["bad"]} | changes
    return {
        "id": id_,
        "original_id": id_.rsplit("-", 1)[0],
        "domain": "target",
        "text": text,
        "text_pair": pair[1],
        "original_text": original,
        "original_text_pair": pair[0],
        "label": "positive",
        "distance": 1,
        "length": 3,
        "positions": [1],
        "old_words": ["good"],
        "new_words": ["bad"],
        "old_spans": spans(words["old_words"], (original, pair[0])),
        "new_spans": spans(words["new_words"], (text, pair[1])),
        "log_p_distance": -1.0,
        "log_p_positions": -1.0,
        "log_p_words": -2.0,
        "log_p": -4.0,
        **changes,
    }


def spans(words, texts):
    """Where each word first occurs in the text, or else in the second text."""
    sides = [(side, text) for side, text in enumerate(texts) if text is not None]
    places = [next(((side, text.find(word)) for side, text in sides if word in text), (0, 0)) for word in words]
    return [
        {"side": side, "start": start, "end": start + len(word)}
        for word, (side, start) in zip(words, places, strict=True)
    ]


def write_shard(folder, rows, *, task="classification", name="target-00000-of-00001", **augment):
    """A shard with these rows; `augment` changes the params in its metadata."""
    folder.mkdir(exist_ok=True, parents=True)
    params = {**PARAMS, "augment": PARAMS["augment"] | augment}
    table = pa.Table.from_pylist(rows, schema=augmented_schema(task))
    write_table(table.replace_schema_metadata({"l2a": json.dumps({"params": params})}), folder / f"{name}.parquet")
    return folder


def write_selection(path, kept):
    """π = 0.75 of what is kept, 0.25 of the others: `write_selection(path, {"t0-001": True})`."""
    columns = {"id": list(kept), "domain": ["target"] * len(kept), "kept": list(kept.values())}
    pi = pa.array([0.75 if keep else 0.25 for keep in kept.values()], pa.float32())
    write_table(pa.table({**columns, "pi": pi}), path)
    return path


def undecided(classifier, texts, folder):
    """The classifier with another bias: it predicts each class for half of these texts."""
    model, tokenizer = load_classifier(classifier, "model"), load_tokenizer(classifier, "model")
    logits = predict(model, tokenizer, Texts([], texts, None, np.zeros(len(texts)), ["negative", "positive"]), 16)
    with torch.no_grad():
        model.classifier.bias[0] += float(np.median(logits[:, 1] - logits[:, 0]))
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder
