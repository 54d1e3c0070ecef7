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
    model: Annotated[
        Path | None,
        typer.Option(help="Folder of a PyTorch or ONNX model; models/int8, or models/onnx if int8 was left out."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="One text a line; or a table: .csv, .tsv, .json, .jsonl, .parquet.")
    ] = None,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Read one object a line, whatever the file's name.")] = False,
    text: Annotated[str | None, typer.Option(metavar="COLUMN", help="A table's column of texts, not `text`.")] = None,
    text_pair: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="A table's column of second texts, not `text_pair`.")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(help="Write the table with the answers to this file, instead of JSON lines.")
    ] = None,
) -> str:
    """Predict each text's class and its probability, or a number."""
    if texts and (file or jsonl):
        raise InputError(f"{'--file' if file else '--jsonl'}: got texts too; accepted: one of the two")
    if file and (file.is_dir() or not file.exists()):
        raise InputError(
            f"--file: {'a folder' if file.is_dir() else 'no such file'}: {file}; accepted: a file of texts"
        )
    from pipeline.serving.predict import CHUNK, check_text, predict_rows, read_lines
    from pipeline.serving.runtime import open_folder
    from pipeline.serving.table import FORMATS, check_answers, read_table, write_answers
    from pipeline.storage.json_lines import print_json

    if answers:
        check_answers(answers, None if texts else file)
    suffix = file.suffix.lower() if file else ""
    if file and not jsonl and suffix not in ("", ".txt", *FORMATS):
        raise InputError(f"--file: got {file}; accepted: a .txt file of a text a line, or {', '.join(FORMATS)}")
    objects = jsonl or suffix == ".jsonl"
    whole = file is not None and suffix in FORMATS and not objects
    for option, column in (("--text", text), ("--text-pair", text_pair)):
        if column is not None and not (objects or whole):
            raise InputError(f"{option}: got {column}, and no table; accepted: --file with one of {', '.join(FORMATS)}")
    names = {"text": text or "text", "text_pair": text_pair or "text_pair"}
    table = read_table(file, names["text"], text_pair) if file and whole else None
    served = open_folder(model or _best_served(), "--model")
    count = 0
    with ExitStack() as stack:
        rows: Iterable[dict[str, Any]]
        if texts:
            rows = [{"text": check_text(text, f"text {number}")} for number, text in enumerate(texts, 1)]
        elif table is not None:
            rows = table
        else:
            lines = stack.enter_context(file.open("rb")) if file else sys.stdin.buffer
            rows = read_lines(lines, str(file or "standard input"), objects=objects, **names)
        # At a terminal each line is answered at once.
        interactive = not texts and not file and sys.stdin.isatty()
        answered = predict_rows(served, rows, 1 if interactive else CHUNK, **names, name=str(file) if file else None)
        if answers and file:
            count = write_answers(answered, answers, file)
        else:
            for row in answered:
                print_json(row)
                count += 1
    return f"{count:,} answers"


def _best_served() -> Path:
    """The int8 model, or the float32 one if `export` has left it out."""
    from pipeline.storage.layout import LEFT_OUT

    int8 = Path("models/int8")
    return Path("models/onnx") if (int8 / LEFT_OUT).is_file() else int8


app = stage(main, rows=True)

if __name__ == "__main__":
    app()
