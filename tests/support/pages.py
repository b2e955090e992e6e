"""The pages of the documentation, and what stands in them: code, command lines, headings, links."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# An example that needs a file or a server that a test has not is told by this comment on the line before it.
NOT_RUN = "<!-- not run: "


@dataclass(frozen=True)
class Block:
    """A fenced block of code: its language, its text, the line that it begins in, and whether a test can run it."""

    language: str
    text: str
    line: int
    runs: bool


def pages() -> list[Path]:
    """Every page that is written by hand or made, as a reader meets them."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


def name_of(page: Path) -> str:
    """What a page is called in a test's name."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    opened: tuple[str, int] | None = None
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if opened is None:
            opened = line.removeprefix("```").strip(), number
        else:
            language, start = opened
            before = lines[start - 1] if start else ""
            yield Block(language, "\n".join(lines[start + 1 : number]) + "\n", start + 1, not before.startswith(NOT_RUN))
            opened = None
    assert opened is None, f"{page}: a block is not closed"


def prose(page: Path) -> str:
    """A page without its blocks of code, fenced and indented."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(?<=\n\n)(?: {4}.*\n)+", "", text)


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        again = 1
        while (anchor := plain if again == 1 else f"{plain}-{again - 1}") in found:
            again += 1
        found.add(anchor)
    return found


def links(page: Path) -> list[str]:
    """Where a page's links and pictures lead."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page)))


def command_lines(page: Path) -> list[list[str]]:
    """The lines of indented blocks that call `onek`, in words, without `onek` and without comments."""
    lines = re.findall(r"^ {4}(?:\$ )?onek (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def mentioned_commands(page: Path) -> list[list[str]]:
    """What stands as `onek ...` in the prose, in words, without `onek`; such mentions leave out what matters not."""
    spans = re.findall(r"`onek ([^`]+)`", prose(page))
    return [shlex.split(" ".join(span.replace("\\|", "|").split()), comments=True) for span in spans]


def sessions(page: Path) -> list[tuple[str, str]]:
    """Each command that a page shows behind `$`, and the output below it."""
    text = page.read_text(encoding="utf-8")
    shown = re.findall(r"^ {4}\$ (.+)\n((?: {4}(?!\$).*\n)*)", text, flags=re.MULTILINE)
    return [
        (command, "".join(line.removeprefix("    ") for line in output.splitlines(keepends=True))) for command, output in shown
    ]


def told(output: str) -> list[str]:
    """Lines without digits behind a point, which machines do not share: whoever is drawn is drawn almost alike on another."""
    return [re.sub(r"\d+\.\d+(e-\d+)?", "#", line).rstrip() for line in output.splitlines()]
