"""The sections of params.yaml that name tables, as text: DVC compares values, and 1, 1.0 and true are equal to it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from stages.command import ParamsFile, stage


def main(
    params: ParamsFile = Path("params.yaml"),
    out: Annotated[Path, typer.Option(help="Folder for a file of each section that names tables.")] = Path(
        "data/tables"
    ),
) -> str:
    """Write the sections that name tables as text, so that the stages that read tables run if 1 becomes true."""
    from pipeline.params.file import load

    checked = load(params)
    sections = {"data": checked.data, "generator": checked.generator}
    from pipeline.storage.atomic import publish_folder

    with publish_folder(out) as folder:
        for name, section in sections.items():
            text = json.dumps(section.model_dump(), indent=1, sort_keys=True, ensure_ascii=False)
            (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    return f"{' and '.join(sections)}, in {out}"


app = stage(main)

if __name__ == "__main__":
    app()
