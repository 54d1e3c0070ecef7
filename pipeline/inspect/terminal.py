"""Neighbours and their summary printed for people at a terminal."""

import io
import sys
import unicodedata
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline.augment.changes import changes

OLD, NEW, ODD = "red", "bold green", "yellow"
TAIL = 80
"""Characters shown after the last change; from there on both texts are the same."""
BAR = 40
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
"""Bidirectional classes of the characters that change the direction of the text after them."""


def terminal() -> Console:
    """The console: colours only on a terminal; characters that it cannot write are escaped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def harmless(text: str) -> str:
    r"""The text with control characters, line breaks and direction marks escaped, such as \x1b."""
    return "".join(
        character.encode("unicode_escape").decode() if _is_control(character) else character for character in text
    )


def _is_control(character: str) -> bool:
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Zl", "Zp") or (
        category == "Cf" and unicodedata.bidirectional(character) in DIRECTIONS
    )


def print_neighbour(console: Console, row: dict[str, Any]) -> None:
    """Print a neighbour below its original, with the changed words in colour, π and the predictions."""
    head = [Text(harmless(row["id"]), "bold"), Text(row["domain"])]
    if row["label"] is not None:
        head.append(Text(_value(row["label"])))
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
    replacements = [Text.assemble((harmless(old), OLD), " → ", (harmless(new), NEW)) for old, new in words]
    if replacements:
        _field(console, "changed", [Text("  ").join(replacements)])
    teacher, on_original, student = row["teacher"], row["teacher_on_original"], row["student"]
    if teacher is not None:
        style = ODD if _differ(teacher, on_original) else ""
        suffix = "" if on_original is None else f" (original: {_value(on_original)})"
        _field(console, "teacher", [Text.assemble((_value(teacher), style), suffix)])
    if student is not None:
        _field(console, "student", [Text(_value(student), ODD if _differ(student, teacher) else "")])
    console.print()


def _texts(row: dict[str, Any]) -> tuple[list[Text], list[Text]]:
    """Original and neighbour, each as one line or, of a pair, two."""
    originals = (row["original_text"], row["original_text_pair"])
    neighbours = (row["text"], row["text_pair"])
    by_side = changes(row)
    return (
        [_colour(text, [each[:2] for each in side], OLD) for text, side in zip(originals, by_side, strict=False)],
        [_colour(text, [each[2:] for each in side], NEW) for text, side in zip(neighbours, by_side, strict=False)],
    )


def _colour(text: str, spans: list[tuple[int, ...]], style: str) -> Text:
    """The text with these stretches in colour, and without most of what follows the last of them."""
    line, cursor = Text(), 0
    for start, end in spans:
        line.append(harmless(text[cursor:start])).append(harmless(text[start:end]), style)
        cursor = end
    return _shorten(line.append(harmless(text[cursor:])))


def _shorten(line: Text) -> Text:
    """The line without most of what follows the last change."""
    end = max((span.end for span in line.spans), default=0) + TAIL
    rest = len(line) - end
    return line if rest <= TAIL // 2 else line[:end].append(f"… and {rest:,} characters more", "dim")


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


def _value(value: Any) -> str:
    """A prediction or a label."""
    if isinstance(value, dict):
        return f"{harmless(value['class'])} {value['probability']:.2f}"
    return f"{value:.3g}" if isinstance(value, float) else harmless(str(value))


def _differ(one: Any, two: Any) -> bool:
    return isinstance(one, dict) and isinstance(two, dict) and bool(one["class"] != two["class"])


def print_summary(console: Console, summary: dict[str, Any]) -> None:
    """Print what `summary.summarise` returns."""
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
    """Print a histogram of the distances, with what Eq. 11 expects beside it."""
    total = sum(row["drawn"] for row in distances)
    mean = sum(row["distance"] * row["drawn"] for row in distances) / total
    header = "Eq. 11" if distances[0]["expected"] is not None else ""
    console.print(f"\n  distance      drawn {header:>10}   (drawn: {mean:.2f} on average)", markup=False)
    most = max(row["drawn"] for row in distances)
    for row in distances:
        expected = "" if row["expected"] is None else f"{row['expected']:,.1f}"
        bar = "█" * round(BAR * row["drawn"] / most)
        line = Text.assemble(f"{row['distance']:10} {row['drawn']:10,} {expected:>10}   ", (bar, "cyan"))
        line.rstrip()
        console.print(line)
