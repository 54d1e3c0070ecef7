"""The licence of a model or table, as far as its own files or package metadata name it."""

from importlib.metadata import metadata, packages_distributions
from pathlib import Path

import yaml
from huggingface_hub import RepoCard

from pipeline.addresses.packages import package_path
from pipeline.errors import InputError


def licence_of(address: str) -> str:
    """What is known locally about the licence of a model or table, in a few words.

    A folder's model card names the folder's licence. A package's metadata names that of the package's code only: its
    texts and models have other authors. The hub is not asked, so that the answer is the same with and without a
    network.
    """
    if not address.startswith("package:"):
        return _card_licence(Path(address)) or "not known here"
    try:
        path = package_path(address, "")
    except InputError:
        return "not known here"
    card_licence = _card_licence(path)
    if card_licence is not None:
        return card_licence
    licence = _package_licence(address.removeprefix("package:").partition("/")[0])
    return f"{licence}, says the package; the contents' own licence is not known here" if licence else "not known here"


def _package_licence(module: str) -> str | None:
    entries = [metadata(name).json for name in packages_distributions().get(module, [])]
    licences = [entry.get("license_expression") or entry.get("license") for entry in entries]
    return next((" ".join(str(licence).split())[:60] for licence in licences if licence), None)


def _card_licence(folder: Path) -> str | None:
    card = folder / "README.md"
    if not card.is_file():
        return None
    try:
        licence = RepoCard.load(card, ignore_metadata_errors=True).data.get("license")
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return " ".join(str(licence).split())[:60] if licence else None
