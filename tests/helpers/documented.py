"""The commands of README and the pages of docs/, taken from their fenced blocks."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
START = ROOT / "docs" / "start.md"
PAGES = [START, ROOT / "README.md", *sorted(set((ROOT / "docs").glob("*.md")) - {START})]
"""start.md first: it shows the output of a run that is not cached yet."""
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block to run, and the output that the page shows for it."""

    language: str
    text: str
    line: int
    output: str | None
    """The `text` block right after it: its lines are in the output, in this order."""
    needs: str | None
    """The comment before it: `hours` takes long, `hub` needs the Hugging Face hub or a package that
    is not installed with the project."""


def blocks(page: Path) -> list[Block]:
    """The blocks of a page in order: commands, Python, changes of params.yaml and of the code."""
    text = page.read_text(encoding="utf-8")
    fences = list(FENCE.finditer(text))
    found = []
    for block, after in zip(fences, [*fences[1:], None], strict=True):
        if block["language"] not in ("console", "python", "yaml", "diff"):
            continue
        follows = after is not None and after["language"] == "text" and not text[block.end() : after.start()].strip()
        line = text.count("\n", 0, block.start()) + 1
        output = after["text"] if follows and after else None
        mark = re.search(r"<!-- (hours|hub) -->\s*\Z", text[: block.start()])
        found.append(Block(block["language"], block["text"], line, output, mark and mark[1]))
    return found


def matches(shown: str, output: str) -> bool:
    """Whether the lines shown are in the output, in order. A number matches any number, `…` matches anything."""
    lines = iter(output.splitlines())
    return all(any(_pattern(line).search(other) for other in lines) for line in shown.splitlines() if line.strip())


def _pattern(line: str) -> re.Pattern[str]:
    parts = re.split(r"(\d[\d.,]*\d|\d|\s*…\s*|\s+)", line.strip())
    kinds = {True: r"[-\d.,]+", False: r"\s+"}
    return re.compile(
        "".join(
            re.escape(part) if not i % 2 else r".*" if "…" in part else kinds[part[0].isdigit()]
            for i, part in enumerate(parts)
        )
    )
