"""Under which licence a model or table is had, as far as it says so itself here."""

from importlib.metadata import metadata, packages_distributions
from pathlib import Path

import yaml
from huggingface_hub import RepoCard

from pipeline.addresses.packages import package_path
from pipeline.errors import InputError


def licence_of(address: str) -> str:
    """What is known here of the licence of a model or table, in a few words.

    A folder's card tells its licence, a package that of its own code: others have written the texts and trained the
    model that it packs. The hub is not asked, so that the answer is the same with a network and without.
    """
    if not address.startswith("package:"):
        return _of_card(Path(address)) or "not known here"
    try:
        packed = package_path(address, "")
    except InputError:
        return "not known here"
    own = _of_card(packed)
    if own is not None:
        return own
    package = _of_package(address.removeprefix("package:").partition("/")[0])
    return f"{package}, says the package; the contents' own licence is not known here" if package else "not known here"


def _of_package(module: str) -> str | None:
    told = [metadata(name).json for name in packages_distributions().get(module, [])]
    found = [each.get("license_expression") or each.get("license") for each in told]
    return next((" ".join(str(each).split())[:60] for each in found if each), None)


def _of_card(folder: Path) -> str | None:
    card = folder / "README.md"
    if not card.is_file():
        return None
    try:
        licence = RepoCard.load(card, ignore_metadata_errors=True).data.get("license")
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return " ".join(str(licence).split())[:60] if licence else None
