"""The texts and the teacher of each seed: those of this project's stages, or folders that the user names."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.data.prepare import prepare
from pipeline.data.texts import read_texts
from pipeline.errors import InputError
from pipeline.params.file import load
from pipeline.params.yaml12 import to_yaml
from pipeline.training.teacher import train_teacher


@dataclass(frozen=True)
class Folders:
    """Where texts and teachers are.

    Args:
        made: folder in which those that are not given are made.
        prepared, teacher: folders whose names may have `{seed}`; None to make them.
    """

    made: Path
    prepared: str | None
    teacher: str | None

    def check(self, seeds: list[int]) -> None:
        """Raise InputError if several seeds would share one folder."""
        for option, value in (("--prepared", self.prepared), ("--teacher", self.teacher)):
            if value is not None and len(seeds) > 1 and "{seed}" not in value:
                raise InputError(f"{option}: got {value} for {len(seeds)} seeds; accepted: a name with {{seed}}")

    def prepared_texts(self, seed: int) -> Path:
        """The folder of a seed's texts: a seed draws labels, validation and test texts anew.

        Raises InputError if they are pairs or have numbers instead of classes.
        """
        if self.prepared is not None:
            folder = Path(self.prepared.replace("{seed}", str(seed)))
        else:
            folder = self.made / str(seed) / "prepared"
            params = load(Path("params.yaml")).model_copy(update={"seed": seed})
            if params.task != "classification":
                raise InputError(f"params.yaml: task: got {params.task}; the peers accept: classification")
            prepare(params, out=folder, metrics=folder.with_name("data.json"))
        texts = read_texts(folder / "test.parquet")
        if texts.pairs is not None or not texts.names:
            raise InputError(f"{folder}: got {'numbers' if not texts.names else 'pairs'}; accepted: texts with classes")
        return folder.absolute()

    def trained_teacher(self, seed: int, prepared: Path) -> Path:
        """The folder of a seed's teacher; one made earlier is taken if params.yaml is as it was then."""
        if self.teacher is not None:
            folder = Path(self.teacher.replace("{seed}", str(seed)))
            if not (folder / "config.json").is_file():
                raise InputError(f"--teacher: got {folder}; accepted: the folder of a fine-tuned model")
            return folder.absolute()
        folder = self.made / str(seed) / "teacher"
        params = load(Path("params.yaml")).model_copy(update={"seed": seed})
        wanted, stamp = to_yaml(params.model_dump(mode="json")), folder.with_name("teacher.yaml")
        if not folder.is_dir() or not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
            stamp.unlink(missing_ok=True)
            train_teacher(params, prepared=prepared, out=folder, metrics=folder.with_name("teacher.json"))
            stamp.write_text(wanted, encoding="utf-8")
        return folder.absolute()


def has_unlabelled(prepared: Path) -> bool:
    """Whether there are unlabelled texts."""
    path = prepared / "unlabelled.parquet"
    return path.is_file() and pq.read_metadata(path).num_rows > 0
