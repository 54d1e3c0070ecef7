"""Where the files of a round are: the first round's in `data/`, `models/` and `dvclive/`, round N's in `rounds/N/`."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputError

LEFT_OUT = "left_out.json"
"""File of a folder that a stage writes in any case, for DVC, and has nothing for: the reason, a JSON string."""


def check_filled(folder: Path, key: str) -> None:
    """Raise InputError with the reason if a stage has left out what the folder is for."""
    if (folder / LEFT_OUT).is_file():
        reason = (folder / LEFT_OUT).read_text(encoding="utf-8").strip()
        with suppress(ValueError):
            reason = json.loads(reason)
        raise InputError(f"{key}: {folder} was left out: {reason}")


@dataclass(frozen=True)
class Layout:
    """The paths of one round, relative to the project's folder."""

    round: int = 1

    def _path(self, first: str, later: str) -> Path:
        return Path(first) if self.round == 1 else Path("rounds", str(self.round), later)

    @property
    def generator(self) -> Path:
        """Folder of the masked language model that fills the words."""
        return self._path("models/generator", "generator")

    @property
    def generator_metrics(self) -> Path:
        """What was measured while the generator was trained (round 1) or refined."""
        return self._path("metrics/generator.json", "refine.json")

    @property
    def augmented(self) -> Path:
        """Folder of the neighbours' shards."""
        return self._path("data/augmented", "augmented")

    @property
    def teacher_cache(self) -> Path:
        """Folder of the teacher's outputs for every text."""
        return self._path("data/teacher", "teacher")

    @property
    def student(self) -> Path:
        """Folder of the distilled student."""
        return self._path("models/student", "student")

    @property
    def projection_and_policy(self) -> Path:
        """File of W and the selector's policy."""
        return self._path("models/projection_and_policy.safetensors", "projection_and_policy.safetensors")

    @property
    def selection(self) -> Path:
        """File with π of every neighbour, and of the originals that may be dropped."""
        return self._path("data/selection.parquet", "selection.parquet")

    @property
    def curves(self) -> Path:
        """Folder of the training curves that dvclive writes."""
        return self._path("dvclive", "curves")
