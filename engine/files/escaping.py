"""Text that somebody else chose, on its way to spreadsheets, terminals and pictures."""

import re

# The beginning of a text that a spreadsheet runs as a formula, and the apostrophes before it that keep it from doing so.
_FORMULA = re.compile("'*[=+\\-@\t\r]")

# How a path of object storage reads as a `Path`.
_STORED = re.compile(r"\b(s3|gs):/(?=[^/\s])")


def harmless(value: object) -> object:
    """The same, but with an apostrophe before a text that a spreadsheet would run as a formula."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def plainly(text: str) -> str:
    """The text that `harmless` made this of."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def shown(text: str) -> str:
    """A text as one line that does nothing to a terminal: control and direction characters, which names may hold, as escapes.

    Paths of object storage read as the user wrote them.
    """
    text = _STORED.sub(r"\1://", text)
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)
