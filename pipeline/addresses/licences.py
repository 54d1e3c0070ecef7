"""The licence of a model or table, as far as its own files or package metadata name it."""

from importlib.metadata import metadata, packages_distributions
from pathlib import Path

import yaml
from huggingface_hub import RepoCard

from pipeline.addresses.archives import is_archive, read_card
from pipeline.addresses.packages import package_path
from pipeline.addresses.resolve import expand_home
from pipeline.errors import InputError


def licence_of(address: str) -> str:
    """What is known locally about the licence of a model or table, in a few words.

    A folder's model card names the folder's licence, and so does the card in an archive, assembled or not. A package's
    metadata names that of the package's code only: its texts and models have other authors. The hub is not asked, so
    that the answer is the same with and without a network.
    """
    try:
        licence = _card_licence(address)
    except InputError:
        return "not known here"
    if licence is not None or is_archive(address) or not address.startswith("package:"):
        return licence or "not known here"
    licence = _package_licence(address.removeprefix("package:").partition("/")[0])
    return f"{licence}, says the package; the contents' own licence is not known here" if licence else "not known here"


def _package_licence(module: str) -> str | None:
    entries = [metadata(name).json for name in packages_distributions().get(module, [])]
    licences = [entry.get("license_expression") or entry.get("license") for entry in entries]
    return next((" ".join(str(licence).split())[:60] for licence in licences if licence), None)


def _card_licence(address: str) -> str | None:
    """The licence that a model card names. Raises InputError if there is no such package."""
    try:
        card = _card(address)
        licence = RepoCard(card, ignore_metadata_errors=True).data.get("license") if card else None
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return " ".join(str(licence).split())[:60] if licence else None


def _card(address: str) -> str:
    """The text of a model card; empty if there is none."""
    if is_archive(address):
        return read_card(address)
    folder = package_path(address, "") if address.startswith("package:") else Path(expand_home(address))
    return (folder / "README.md").read_text(encoding="utf-8") if (folder / "README.md").is_file() else ""
