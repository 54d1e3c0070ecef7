"""What can be given away: the student and the neighbours as folders that the hub takes, each with its card."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.augment.shards import shards
from pipeline.data.texts import DOMAINS
from pipeline.errors import InputError
from pipeline.params.schema import Params
from pipeline.sharing.cards import neighbours_card, student_card
from pipeline.storage.atomic import publish_folder

UNNAMED = {"0": "LABEL_0", "1": "LABEL_1"}
"""Classes that transformers does not write down."""


def share(params: Params, *, student: Path, augmented: Path, evaluation: Path, model_out: Path, data_out: Path) -> str:
    """Publish copies of both with cards: beside the originals they would change an out that others learn from.

    Args:
        evaluation: what `evaluate` measured.

    Returns what was made, in a few words. Raises InputError if something is missing.
    """
    labels = _classes(student / "config.json")
    files = shards(augmented)
    counts = Counter[str](dict.fromkeys(DOMAINS, 0))
    for file in files:
        counts[file.name.split("-")[0]] += pq.read_metadata(file).num_rows
    card = student_card(params, labels=labels, figures=_figures(evaluation, labels))
    with publish_folder(model_out) as model:
        for file in sorted(student.iterdir()):
            shutil.copyfile(file, model / file.name)
        (model / "README.md").write_text(card, encoding="utf-8")
        with publish_folder(data_out) as data:
            for file in files:
                shutil.copyfile(file, data / file.name)
            (data / "README.md").write_text(neighbours_card(params, counts), encoding="utf-8")
    return f"student and {counts.total():,} neighbours with their cards, in {model_out} and {data_out}"


def _classes(config: Path) -> list[str]:
    """The classes that a model folder's config names, in order; none if it predicts a number.

    Read without transformers, which takes seconds to import. Raises InputError naming the file if it names none.
    """
    try:
        names = json.loads(config.read_text(encoding="utf-8")).get("id2label", UNNAMED)
        labels = [names[str(index)] for index in range(len(names))]
    except FileNotFoundError:
        raise InputError(f"{config}: no such file; run the distill stage first") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = " ".join(str(error).split())[:160]
        raise InputError(f"{config}: damaged, or no classifier's ({said}); run the distill stage again") from None
    return labels if len(labels) > 1 else []


def _figures(evaluation: Path, labels: list[str]) -> dict[str, float | None]:
    """The student's metrics. Raises InputError naming the file if they are not in it."""
    metrics = ("accuracy", "f1") if labels else ("pearson", "spearman")
    try:
        measured = json.loads(evaluation.read_text(encoding="utf-8"))["student"]
        return {name: measured[name] for name in metrics}
    except FileNotFoundError:
        raise InputError(f"{evaluation}: no such file; run the evaluate stage first") from None
    except (ValueError, KeyError, TypeError) as error:
        said = " ".join(str(error).split())[:160]
        raise InputError(f"{evaluation}: damaged, or of another task ({said}); run the evaluate stage again") from None
