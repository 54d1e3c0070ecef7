"""Texts answered by a model: JSON lines on standard output."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.errors import InputError
from stages.command import stage


def main(
    texts: Annotated[list[str] | None, typer.Argument(help="Texts; without any, --file or standard input.")] = None,
    model: Annotated[Path, typer.Option(help="A folder of PyTorch or ONNX.")] = Path("models/int8"),
    file: Annotated[
        Path | None, typer.Option(help="A text a line; if it ends in .jsonl, an object a line with text, text_pair.")
    ] = None,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Standard input has an object a line.")] = False,
) -> str:
    """Answer texts with their class and its probability, or with a number."""
    if texts and file:
        raise InputError("--file: got texts too; accepted: one of the two")
    if file and not file.is_file():
        raise InputError(f"--file: no such file: {file}")
    from pipeline.serving.answers import CHUNK, answers, read_lines
    from pipeline.serving.runtime import open_folder

    served = open_folder(model, "--model")
    watched = not texts and not file and sys.stdin.isatty()
    count = 0

    def answer(rows: Iterable[dict[str, Any]]) -> None:
        nonlocal count
        for row in answers(served, rows, served.tokenizer.model_max_length, 1 if watched else CHUNK):
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1

    if texts:
        answer({"text": text} for text in texts)
    elif file:
        with file.open("rb") as lines:
            answer(read_lines(lines, str(file), objects=file.suffix == ".jsonl"))
    else:
        answer(read_lines(sys.stdin.buffer, "standard input", objects=jsonl))
    return f"{count:,} answers"


app = stage(main, rows=True)

if __name__ == "__main__":
    app()
