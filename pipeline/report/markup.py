"""HTML and SVG elements in which text from the data is always escaped."""

import re

from markupsafe import Markup, escape

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def visible(text: str) -> str:
    """Replace the characters that HTML forbids, control characters other than tab and newline, by visible signs."""
    return _CONTROL.sub(lambda match: chr(0x2400 + ord(match[0])) if match[0] < " " else "\ufffd", text)


def finalize(value: object) -> object:
    """Make a value fit for the page, for jinja2's `finalize`; Markup stays as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def element(tag: str, *content: object, **attributes: object) -> Markup:
    """An element with its content and attributes escaped; `class_` and `stroke_width` are `class` and `stroke-width`.

    Numbers have at most two decimals.
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), _attribute(value))
        for name, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), written, joined(*content))


def joined(*content: object) -> Markup:
    """Pieces one after the other, each escaped unless it is Markup."""
    return Markup("").join(escape(finalize(part)) for part in content)


def _attribute(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else finalize(value)


def clipped(text: str, max_length: int) -> str:
    """A text's first characters, with an ellipsis if there are more; cut between words if possible."""
    if len(text) <= max_length:
        return text
    return f"{text[:max_length].rsplit(None, 1)[0]} …"
