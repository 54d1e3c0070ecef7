"""Artifacts written by hand: shards of neighbours, π of each, and a model that is of two minds."""

import json

import numpy as np
import pyarrow as pa
import torch

from pipeline.augment.augment import schema
from pipeline.data.texts import Texts
from pipeline.evaluation.predicting import predict
from pipeline.models.loading import load_classifier, load_tokenizer, quiet
from pipeline.storage.parquet import write_table

PARAMS = {
    "alpha": 1.0,
    "augment": {"method": "neighbours", "count": "rescaled", "min_distance": 1, "side": "both"},
    "max_length": 16,
}


def neighbour(id_="t0-001", original="a good film", text="a bad film", pair=(None, None), **changes):
    """A row of `augmented`."""
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
        "log_p_distance": -1.0,
        "log_p_positions": -1.0,
        "log_p_words": -2.0,
        "log_p": -4.0,
        **changes,
    }


def write_shard(folder, rows, *, task="classification", name="target-00000-of-00001", **augment):
    """A shard with these rows; `augment` changes the params in its metadata."""
    folder.mkdir(exist_ok=True, parents=True)
    params = {**PARAMS, "augment": PARAMS["augment"] | augment}
    table = pa.Table.from_pylist(rows, schema=schema(task))
    write_table(table.replace_schema_metadata({"l2a": json.dumps({"params": params})}), folder / f"{name}.parquet")
    return folder


def write_selection(path, kept):
    """π = 0.75 of what is kept, 0.25 of the others: `write_selection(path, {"t0-001": True})`."""
    columns = {"id": list(kept), "domain": ["target"] * len(kept), "kept": list(kept.values())}
    pi = pa.array([0.75 if keep else 0.25 for keep in kept.values()], pa.float32())
    write_table(pa.table({**columns, "pi": pi}), path)
    return path


def of_two_minds(classifier, texts, folder):
    """The classifier with another bias: it puts half of these texts into either class."""
    model, tokenizer = load_classifier(classifier, "model"), load_tokenizer(classifier, "model")
    logits = predict(model, tokenizer, Texts([], texts, None, np.zeros(len(texts)), ["negative", "positive"]), 16)
    with torch.no_grad():
        model.classifier.bias[0] += float(np.median(logits[:, 1] - logits[:, 0]))
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder
