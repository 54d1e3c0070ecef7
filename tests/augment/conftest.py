"""A WordNet of a few words, in the format of its files."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipeline.augment.methods.wordnet import WordNet, load_wordnet

SENSES = {
    "noun": [["film", "movie", "motion_picture"], ["plot", "story"], ["joke", "gag"], ["cast"], ["good", "goodness"]],
    "verb": [["film", "shoot"]],
    "adj": [["good", "fine"], ["good"], ["bad", "poor"], ["warm"], ["slow", "dull", "boring"]],
    "adv": [["slowly", "tardily"]],
}
LETTER = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}


def write_wordnet(folder: Path, senses: dict[str, Sequence[Sequence[str]]]) -> None:
    """Write data.*, index.* and *.exc for groups of synonyms by part of speech; earlier senses are commoner."""
    folder.mkdir()
    for kind, groups in senses.items():
        data, places = "", {}
        for group in groups:
            offset = len(data)
            words = " ".join(f"{word} 0" for word in group)
            frames = " 01 + 01 00" if kind == "verb" else ""
            data += f"{offset:08d} 00 {LETTER[kind]} {len(group):02x} {words} 000{frames} | a gloss  \n"
            for word in group:
                places.setdefault(word, []).append(f"{offset:08d}")
        lines = [
            f"{word} {LETTER[kind]} {len(at)} 0 {len(at)} 0 {' '.join(at)}  \n" for word, at in sorted(places.items())
        ]
        (folder / f"data.{kind}").write_text(data)
        (folder / f"index.{kind}").write_text("".join(sorted(lines)))
        (folder / f"{kind}.exc").write_text("")
    (folder / "cntlist.rev").write_text("cast%1:00:00:: 1 2\n")


@pytest.fixture(scope="session", name="write_wordnet")
def _write_wordnet() -> Callable[..., None]:
    return write_wordnet


@pytest.fixture(scope="session")
def wordnet(tmp_path_factory: pytest.TempPathFactory) -> WordNet:
    folder = tmp_path_factory.mktemp("wordnet") / "files"
    write_wordnet(folder, SENSES)
    return load_wordnet(folder)
