"""Prepared files beside those that a test writes itself."""

import shutil
from pathlib import Path

from pipeline.data.texts import Texts, no_labels, read_texts, write_texts


def complete(folder: Path) -> None:
    """Write what a folder lacks: the student's source for the teacher, too, and no unlabelled texts."""
    names = read_texts(folder / "train.parquet").names
    shutil.copyfile(folder / "source.parquet", folder / "teacher_source.parquet")
    if not (folder / "unlabelled.parquet").exists():
        write_texts(folder / "unlabelled.parquet", Texts([], [], None, no_labels(0, names), names), "unlabelled")
