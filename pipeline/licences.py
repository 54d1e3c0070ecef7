"""Under which licence a model or table is had, as far as it says so itself here."""

from importlib.metadata import metadata, packages_distributions
from pathlib import Path

import yaml
from huggingface_hub import RepoCard


def licence_of(address: str) -> str | None:
    """The licence that an installed package names, or the card in a folder; None if nothing does.

    The hub is not asked, so that the answer is the same with a network and without.
    """
    if address.startswith("package:"):
        module = address.removeprefix("package:").partition("/")[0]
        told = [metadata(name).json for name in packages_distributions().get(module, [])]
        found = [each.get("license_expression") or each.get("license") for each in told]
        return next((" ".join(str(each).split())[:60] for each in found if each), None)
    card = Path(address) / "README.md"
    if not card.is_file():
        return None
    try:
        licence = RepoCard.load(card, ignore_metadata_errors=True).data.get("license")
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return " ".join(str(licence).split())[:60] if licence else None
