"""Harm planted in what is taught: texts from elsewhere in place of neighbours, or the teacher's answers flipped."""

import ast
import importlib.util
import re
import string
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.augment.shards import shards
from pipeline.distill.dataset import DistillationDataset
from pipeline.storage.parquet import read_table, write_table

KINDS = ("flipped", "topic", "scrambled", "language")
"""The teacher's answers turned round; sentences about programs; words drawn from all neighbours; made-up words."""
PACKAGES = ("numpy", "scipy", "sklearn")
"""Their docstrings are the texts on another topic."""
LETTERS = str.maketrans(string.ascii_lowercase, "ovkzupgqylbrtmehxdnswfcjai")
"""The other language: each word is always replaced by the same one, of the same length."""


def plant(augmented: Path, out: Path, kind: str, share: float, seed: int) -> list[str]:
    """Copy the shards of neighbours, a share of their texts replaced by texts of a kind; returns the ids of those."""
    rng = np.random.default_rng(seed)
    tables = {shard.name: read_table(shard, (), "augment") for shard in shards(augmented)}
    words = [word for table in tables.values() for text in table["text"].to_pylist() for word in text.split()]
    replace = _replacement(kind, words, rng)
    out.mkdir(parents=True)
    planted = []
    for name, table in tables.items():
        texts, ids = table["text"].to_pylist(), table["id"].to_pylist()
        for row in np.flatnonzero(rng.random(len(texts)) < share):
            texts[row] = replace(texts[row])
            planted.append(ids[row])
        column = table.schema.get_field_index("text")
        write_table(table.set_column(column, table.schema.field(column), pa.array(texts, pa.string())), out / name)
    return planted


def flip(dataset: DistillationDataset, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Turn the teacher's answers to a share of the neighbours round, in memory: which rows, (rows,).

    The logits of all classes change places: of two classes each gets the other's, of more the previous one's.
    """
    flipped = (np.random.default_rng(seed).random(len(dataset)) < share) & dataset.droppable
    rows = dataset.cache_rows[flipped]
    dataset.cache.logits[rows] = np.roll(dataset.cache.logits[rows], 1, axis=1)
    return flipped


def _replacement(kind: str, words: list[str], rng: np.random.Generator) -> Callable[[str], str]:
    """The function from a text to the text in its place."""
    if kind == "topic":
        drawn = cycle(rng.permutation(docstrings()).tolist())
        return lambda _text: str(next(drawn))
    if kind == "scrambled":
        return lambda text: " ".join(rng.choice(words, len(text.split())).tolist())
    return lambda text: text.lower().translate(LETTERS)


def docstrings() -> list[str]:
    """Sentences of 8 to 40 words about programs: paragraphs of docstrings, in the style of the reviews."""
    found = set()
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        folder = Path(spec.origin).parent
        for file in sorted(file for file in folder.rglob("*.py") if not {"test", "tests"} & set(file.parts)):
            for node in ast.walk(ast.parse(file.read_bytes())):
                if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                    paragraphs = (ast.get_docstring(node) or "").split("\n\n")
                    found |= {" ".join(paragraph.lower().split()) for paragraph in paragraphs}
    plain = (text for text in found if 8 <= len(text.split()) <= 40 and not re.search(r"[>=_`|]|--", text))
    return sorted(re.sub(r"([.,;:()])", r" \1 ", text).strip() for text in plain)
