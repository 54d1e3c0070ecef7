"""The student, its ONNX files and the neighbours as folders that the Hugging Face hub accepts, each with its card."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.augment.shards import shards
from pipeline.data.texts import DOMAINS
from pipeline.errors import InputError, one_line
from pipeline.evaluation.scoring import metric_names
from pipeline.models.classes import class_names, read_config
from pipeline.params.schema import Params
from pipeline.sharing.cards import neighbours_card, student_card
from pipeline.storage.atomic import JAVASCRIPT, publish_folder

MODULES = {"l2a_bilstm": "pipeline.models.bilstm", "l2a_pairs": "pipeline.models.pair_encoder"}
"""Models of this project's own, and the modules that register them with transformers."""


def share(
    params: Params,
    *,
    student: Path,
    onnx: Path,
    int8: Path,
    augmented: Path,
    evaluation: Path,
    model_out: Path,
    onnx_out: Path,
    data_out: Path,
) -> str:
    """Publish copies with cards; a card in the original folder would change an output of another stage.

    Args:
        onnx, int8: the folders that `export` has written; the latter may hold no model.
        evaluation: metrics/evaluation.json.
        onnx_out: a folder as transformers.js opens it: config and tokenizer, and the models in `onnx/`. The card names
            that library if its `text-classification` answers rightly, for classes of single texts.

    Returns a one-line summary. Raises InputError if something is missing.
    """
    config, labels = _config(student / "config.json")
    files = shards(augmented)
    counts = Counter[str](dict.fromkeys(DOMAINS, 0))
    for file in files:
        counts[file.name.split("-")[0]] += pq.read_metadata(file).num_rows
    scores = _scores(evaluation, labels)
    if not any(onnx.glob("*.onnx")):
        raise InputError(f"{onnx}: no ONNX file in it; run the export stage first")
    with publish_folder(model_out) as model:
        for file in sorted(student.iterdir()):
            shutil.copyfile(file, model / file.name)
        module = MODULES.get(getattr(config, "model_type", ""))
        card = student_card(params, labels=labels, scores=scores, module=module)
        (model / "README.md").write_text(card, encoding="utf-8")
        with publish_folder(onnx_out) as javascript:
            for file in sorted(onnx.glob("*.json")):
                shutil.copyfile(file, javascript / file.name)
            (javascript / "onnx").mkdir()
            for name, folder in {"onnx": onnx, "int8": int8}.items():
                for file in folder.glob("*.onnx"):
                    shutil.copyfile(file, javascript / JAVASCRIPT[name])
            card = student_card(params, labels=labels, scores=scores, library=_library(onnx / "config.json"))
            (javascript / "README.md").write_text(card, encoding="utf-8")
            with publish_folder(data_out) as data:
                for file in files:
                    shutil.copyfile(file, data / file.name)
                (data / "README.md").write_text(neighbours_card(params, counts), encoding="utf-8")
    return f"student and {counts.total():,} neighbours with their cards, in {model_out}, {onnx_out} and {data_out}"


def _config(file: Path) -> tuple[Any, list[str]]:
    """A model's config and its classes in order, none in regression. Raises InputError naming a damaged file."""
    try:
        config = read_config(file)
        return config, class_names(config)
    except FileNotFoundError as error:
        raise InputError(f"{file}: no such file; run the distill stage first") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file}: damaged, or not of a classifier ({one_line(error)}); run the distill stage again"
        ) from error


def _library(file: Path) -> str:
    """The hub's name of what opens an ONNX folder: transformers.js reads no pairs, numbers and models of our own."""
    config, classes = _config(file)
    pairs, family = getattr(config, "text_pairs", None), getattr(config, "model_type", None)
    return "transformers.js" if classes and not pairs and family not in MODULES else "onnx"


def _scores(evaluation: Path, labels: list[str]) -> dict[str, float | None]:
    """The student's metrics. Raises InputError naming the file if they are not in it."""
    try:
        measured = json.loads(evaluation.read_text(encoding="utf-8"))["student"]
        return {name: measured[name] for name in metric_names(labels)}
    except FileNotFoundError as error:
        raise InputError(f"{evaluation}: no such file; run the evaluate stage first") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{evaluation}: damaged, or of another task ({one_line(error)}); run the evaluate stage again"
        ) from error
