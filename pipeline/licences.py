"""Under which licence a model or table is had, as far as it says so itself."""

from importlib.metadata import metadata, packages_distributions
from pathlib import Path

from huggingface_hub import RepoCard

from pipeline.errors import InputError


def licence_of(address: str) -> str | None:
    """The licence that a package names, or the card in a model's folder; None if nothing does.

    Of a hub id that was never fetched, and of a plain file, nothing is known.
    """
    if address.startswith("package:"):
        module = address.removeprefix("package:").partition("/")[0]
        names = packages_distributions().get(module, [])
        told = [metadata(name).json for name in names]
        found = [each.get("license_expression") or each.get("license") for each in told]
        return next((" ".join(str(each).split())[:60] for each in found if each), None)
    card = _folder(address) / "README.md"
    if not card.is_file():
        return None
    try:
        licence = RepoCard.load(card, ignore_metadata_errors=True).data.get("license")
    except (OSError, ValueError):
        return None
    return str(licence) if licence else None


def _folder(address: str) -> Path:
    from pipeline.models import resolve

    try:
        return Path(resolve(address, ""))
    except (InputError, OSError):
        return Path(address)
