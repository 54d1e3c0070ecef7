"""What README and the pages of docs/ tell a reader to do, taken from their fenced blocks."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
START = ROOT / "docs" / "start.md"
PAGES = [START, ROOT / "README.md", *sorted(set((ROOT / "docs").glob("*.md")) - {START})]
"""The first shows what a run says that nobody has made before."""
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One thing to do, and what the page says that one then sees."""

    language: str
    text: str
    line: int
    said: str | None
    """The `text` block right after it: every line of it is part of the output, in this order."""
    needs: str | None
    """What a comment before it says that it takes: `slow`, minutes; `hub`, the hub."""


def blocks(page: Path) -> list[Block]:
    """What a page tells to do, in its order: commands, Python, changes of params.yaml and of the code."""
    text = page.read_text(encoding="utf-8")
    found = list(FENCE.finditer(text))
    done = []
    for block, after in zip(found, [*found[1:], None], strict=True):
        if block["language"] not in ("console", "python", "yaml", "diff"):
            continue
        follows = after is not None and after["language"] == "text" and not text[block.end() : after.start()].strip()
        line = text.count("\n", 0, block.start()) + 1
        said = after["text"] if follows and after else None
        marked = re.search(r"<!-- (slow|hub) -->\s*\Z", text[: block.start()])
        done.append(Block(block["language"], block["text"], line, said, marked and marked[1]))
    return done


def matches(said: str, seen: str) -> bool:
    """Whether the page's lines are in the output, in order: a number stands for any, `…` for whatever is there."""
    lines = iter(seen.splitlines())
    return all(any(_pattern(line).search(other) for other in lines) for line in said.splitlines() if line.strip())


def _pattern(line: str) -> re.Pattern[str]:
    parts = re.split(r"(\d[\d.,]*\d|\d|\s*…\s*|\s+)", line.strip())
    kinds = {True: r"[-\d.,]+", False: r"\s+"}
    return re.compile(
        "".join(
            re.escape(part) if not i % 2 else r".*" if "…" in part else kinds[part[0].isdigit()]
            for i, part in enumerate(parts)
        )
    )
