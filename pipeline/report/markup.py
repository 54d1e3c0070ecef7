"""Pieces of HTML and SVG in which text from data can do no harm."""

import re

from markupsafe import Markup, escape

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def visible(text: str) -> str:
    """The text with a sign in place of what no page may hold: control characters, but for tabs and newlines."""
    return _CONTROL.sub(lambda found: chr(0x2400 + ord(found[0])) if found[0] < " " else "\ufffd", text)


def shown(value: object) -> object:
    """What the template writes for a value; Markup as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def element(tag: str, *content: object, **attributes: object) -> Markup:
    """An element with its content and attributes escaped; `class_` and `stroke_width` are `class` and `stroke-width`.

    Numbers have at most two decimals.
    """
    named = Markup("").join(
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), _attribute(value))
        for name, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), named, joined(*content))


def joined(*content: object) -> Markup:
    """Pieces one behind the other, each escaped unless it is Markup."""
    return Markup("").join(escape(shown(part)) for part in content)


def _attribute(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else shown(value)


def clipped(text: str, most: int) -> str:
    """A text's first characters, with an ellipsis if there are more; cut between words where there are any."""
    if len(text) <= most:
        return text
    return f"{text[:most].rsplit(None, 1)[0]} …"
