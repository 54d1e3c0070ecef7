"""A model's archive as distributions hold it, made for a test: a zip in parts, each in a fake installed package."""

import hashlib
import zipfile
from pathlib import Path

from pipeline.addresses.archives import CARD, Archive

NAME = "made-model"
ADDRESS = f"package:{NAME}"
LICENCE = "cc-by-4.0"


def lay_out_archive(site: Path, model: Path, parts: int = 3) -> Archive:
    """Install a model folder, with a card, in a `site-packages` folder.

    The zip also has a file that is not to be taken. The packages fail when they are imported.
    """
    whole = site.parent / f"{NAME}.zip"
    card = f"---\nlicense: {LICENCE}\n---\n# A model\n".encode()
    members = {CARD: card} | {file.name: file.read_bytes() for file in sorted(model.iterdir())}
    # Weights come last, as they take longest.
    members = dict(sorted(members.items(), key=lambda member: member[0].endswith(".safetensors")))
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in {**members, "pickled.bin": b"not taken"}.items():
            file.writestr(f"{NAME}/{name}", content)
    content = whole.read_bytes()
    size = -(-len(content) // parts)
    digests = {}
    for number in range(1, parts + 1):
        piece = content[(number - 1) * size : number * size]
        digests[f"{NAME}-part-{number:03d}"] = hashlib.sha256(piece).hexdigest()
        package = site / f"{NAME}-part_{number:03d}"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise AssertionError('imported')\n")
        (package / f"{NAME}.zip.{number:03d}").write_bytes(piece)
        info = site / f"{NAME.replace('-', '_')}_part_{number:03d}-0.0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}-part-{number:03d}\nVersion: 0.0.1\n")
        files = [f"{package.name}/__init__.py", f"{package.name}/{NAME}.zip.{number:03d}", f"{info.name}/METADATA"]
        (info / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    return Archive(
        parts=digests,
        folder=NAME,
        members={name: hashlib.sha256(content).hexdigest() for name, content in members.items()},
        size=sum(map(len, members.values())),
    )
