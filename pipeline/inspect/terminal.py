"""Neighbours and what was counted of them, for a person at a terminal or, as JSON, for another program."""

import io
import json
import math
import sys
import unicodedata
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline.inspect.changed_words import changed_spans

OLD, NEW, ODD = "red", "bold green", "yellow"
TAIL = 80
"""Characters shown of what follows the last change, which is the same in both texts."""
BAR = 40
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
"""Characters that turn the direction of all that follows."""


def terminal() -> Console:
    """Where to print: with colours only if somebody watches, and whatever the terminal can write."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def harmless(text: str) -> str:
    r"""The text with what a terminal would obey, and what begins a line, written as \x1b."""
    return "".join(
        character.encode("unicode_escape").decode() if _obeyed(character) else character for character in text
    )


def _obeyed(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in ("Cc", "Cs", "Zl", "Zp") or (kind == "Cf" and unicodedata.bidirectional(character) in DIRECTIONS)


def print_json(row: dict[str, Any]) -> None:
    """Print one line of JSON, without the characters that a terminal would obey and without NaN."""
    sys.stdout.write(json.dumps(_finite(row), allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_neighbour(console: Console, row: dict[str, Any]) -> None:
    """Print a neighbour beside its original, with the words that changed in colour, and what is known of it."""
    head = [Text(harmless(row["id"]), "bold"), Text(row["domain"]), Text(_said(row["label"]))]
    if row["distance"] is not None:
        head.append(Text(f"distance {row['distance']} of {row['length']}"))
    if row["log_p"] is not None:
        head.append(Text(f"log P_s {row['log_p']:.1f}"))
    if row["pi"] is not None:
        head.append(Text(f"π {row['pi']:.3f}"))
    if row["kept"] is not None:
        head.append(Text("kept", "green") if row["kept"] else Text("dropped", "red"))
    console.print(Text("  ").join(head))
    original, neighbour = _texts(row)
    _field(console, "original", original)
    _field(console, "neighbour", neighbour)
    words = zip(row["old_words"] or [], row["new_words"] or [], strict=False)
    changes = [Text.assemble((harmless(old), OLD), " → ", (harmless(new), NEW)) for old, new in words]
    if changes:
        _field(console, "changed", [Text("  ").join(changes)])
    teacher, before, student = row["teacher"], row["teacher_on_original"], row["student"]
    if teacher is not None:
        of_original = "" if before is None else f" (original: {_said(before)})"
        _field(
            console, "teacher", [Text.assemble((_said(teacher), ODD if _other(teacher, before) else ""), of_original)]
        )
    if student is not None:
        _field(console, "student", [Text(_said(student), ODD if _other(student, teacher) else "")])
    console.print()


def _texts(row: dict[str, Any]) -> tuple[list[Text], list[Text]]:
    """Original and neighbour: a line for the text, and one for the second of a pair."""
    sides = []
    for name in ("original_text", "text"):
        pair = row["original_text_pair" if name == "original_text" else "text_pair"]
        # No text has a newline any more, so that this one parts the two.
        sides.append("\n".join(harmless(text) for text in (row[name], pair) if text is not None))
    words = [[harmless(word) for word in row[name] or []] for name in ("old_words", "new_words")]
    out = []
    for side, spans, style in zip(sides, changed_spans(*sides, *words), (OLD, NEW), strict=True):
        text = Text(side)
        for start, end in spans:
            text.stylize(style, start, end)
        out.append([_shortened(line) for line in text.split("\n", allow_blank=True)])
    return out[0], out[1]


def _shortened(line: Text) -> Text:
    """The line without most of what follows the last change."""
    end = max((span.end for span in line.spans), default=0) + TAIL
    left = len(line) - end
    return line if left <= TAIL // 2 else line[:end].append(f"… and {left:,} characters more", "dim")


def _field(console: Console, name: str, lines: list[Text]) -> None:
    for line in lines:
        if console.soft_wrap:
            console.print(Text.assemble(f"  {name:9}  ", line))
        else:
            grid = Table.grid(padding=(0, 2))
            grid.add_column(width=9, style="dim")
            grid.add_column(overflow="fold")
            grid.add_row(name, line)
            console.print(Padding(grid, (0, 0, 0, 2)))
        name = ""


def _said(opinion: Any) -> str:
    if isinstance(opinion, dict):
        return f"{harmless(opinion['class'])} {opinion['probability']:.2f}"
    return f"{opinion:.3g}" if isinstance(opinion, float) else harmless(str(opinion))


def _other(one: Any, two: Any) -> bool:
    return isinstance(one, dict) and isinstance(two, dict) and bool(one["class"] != two["class"])


def print_summary(console: Console, summary: dict[str, Any]) -> None:
    """Print what `sampled.summarise` counted."""
    per_domain = ", ".join(f"{times:,} {domain}" for domain, times in summary["neighbours"].items())
    console.print(
        f"neighbours  {per_domain}, of {summary['originals']:,} texts; {summary['distinct']:.1%} distinct", markup=False
    )
    teacher = summary["teacher"]
    if teacher is not None:
        moved = (
            f"another class than the original's for {teacher['another_class']:.1%} of"
            if "another_class" in teacher
            else f"{teacher['moved_by']:.3g} from the original's number on average, over"
        )
        console.print(f"teacher     {moved} {teacher['neighbours']:,} neighbours", markup=False)
    if summary["distances"]:
        _print_distances(console, summary["distances"])
    if summary["replacements"]:
        console.print("\nreplaced most often")
        for old, new, times in summary["replacements"]:
            console.print(Text.assemble(f"{times:10,}  ", (harmless(old), OLD), " → ", (harmless(new), NEW)))
    console.print()


def _print_distances(console: Console, distances: list[dict[str, Any]]) -> None:
    """Print a histogram of the distances, beside it what Eq. 11 expects."""
    total = sum(row["drawn"] for row in distances)
    mean = sum(row["distance"] * row["drawn"] for row in distances) / total
    law = "Eq. 11" if distances[0]["expected"] is not None else ""
    console.print(f"\n  distance      drawn {law:>10}   (drawn: {mean:.2f} on average)", markup=False)
    most = max(row["drawn"] for row in distances)
    for row in distances:
        expected = "" if row["expected"] is None else f"{row['expected']:,.1f}"
        bar = "█" * round(BAR * row["drawn"] / most)
        line = Text.assemble(f"{row['distance']:10} {row['drawn']:10,} {expected:>10}   ", (bar, "cyan"))
        line.rstrip()
        console.print(line)
