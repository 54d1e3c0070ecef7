"""A model's predictions for texts, as JSON lines on standard output."""

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.errors import InputError
from stages.command import stage


def main(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts; if none are given, --file or standard input.")
    ] = None,
    model: Annotated[Path, typer.Option(help="Folder of a PyTorch or ONNX model.")] = Path("models/int8"),
    file: Annotated[
        Path | None, typer.Option(help="One text a line; .jsonl: one object a line with text and text_pair.")
    ] = None,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Read one object a line, whatever the file's name.")] = False,
) -> str:
    """Predict each text's class and its probability, or a number."""
    if texts and (file or jsonl):
        raise InputError(f"{'--file' if file else '--jsonl'}: got texts too; accepted: one of the two")
    if file and (file.is_dir() or not file.exists()):
        raise InputError(
            f"--file: {'a folder' if file.is_dir() else 'no such file'}: {file}; accepted: a file of texts"
        )
    from pipeline.inspect.json_lines import print_json
    from pipeline.serving.predict import CHUNK, check_text, predict_rows, read_lines
    from pipeline.serving.runtime import open_folder

    served = open_folder(model, "--model")
    count = 0
    with ExitStack() as stack:
        rows: Iterable[dict[str, Any]]
        if texts:
            rows = [{"text": check_text(text, f"text {number}")} for number, text in enumerate(texts, 1)]
        else:
            lines = stack.enter_context(file.open("rb")) if file else sys.stdin.buffer
            objects = jsonl or (file is not None and file.suffix.lower() == ".jsonl")
            rows = read_lines(lines, str(file or "standard input"), objects=objects)
        # At a terminal each line is answered at once.
        interactive = not texts and not file and sys.stdin.isatty()
        for row in predict_rows(served, rows, 1 if interactive else CHUNK):
            print_json(row)
            count += 1
    return f"{count:,} answers"


app = stage(main, rows=True)

if __name__ == "__main__":
    app()
