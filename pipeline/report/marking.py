"""A neighbour's text with its changes marked: what the original had, and what replaced it."""

from collections.abc import Sequence

from markupsafe import Markup

from pipeline.augment.changes import Change
from pipeline.report.markup import clipped, element, joined

CONTEXT = 6
"""Words shown on each side of a change; those further away are left out."""
LONGEST = 400
"""Characters of one stretch of a text."""


def marked(old: str, new: str, changes: Sequence[Change]) -> Markup:
    """The new text with `<del>` around what was removed and `<ins>` around what was added; the rest is shortened."""
    merged = _merged(old, new, changes)
    parts: list[Markup] = []
    cursor = 0
    for order, change in enumerate(merged):
        parts.append(_unchanged(new[cursor : change.new_start], first=order == 0, last=False))
        for tag, text in (
            ("del", old[change.old_start : change.old_end]),
            ("ins", new[change.new_start : change.new_end]),
        ):
            if text:
                parts.append(element(tag, clipped(text, LONGEST)))
        cursor = change.new_end
    parts.append(_unchanged(new[cursor:], first=not merged, last=True))
    return Markup(" ").join(part for part in parts if part)


def _merged(old: str, new: str, changes: Sequence[Change]) -> list[Change]:
    """The changes, as one where only blanks are between them."""
    merged: list[Change] = []
    for change in changes:
        last = merged[-1] if merged else None
        if last and not old[last.old_end : change.old_start].strip() + new[last.new_end : change.new_start].strip():
            merged[-1] = Change(last.old_start, change.old_end, last.new_start, change.new_end)
        else:
            merged.append(change)
    return merged


def _unchanged(text: str, *, first: bool, last: bool) -> Markup:
    """The words next to a change, and an ellipsis for the others."""
    words = text.split()
    before, after = (0 if first else CONTEXT), (0 if last else CONTEXT)
    if first and last:
        before = 10 * CONTEXT
    if len(words) > before + after + 2:
        words = [*words[:before], "…", *words[len(words) - after :]]
    return joined(clipped(" ".join(words), LONGEST))
