"""Every command and option is documented, and every command line of the documentation is one that `onek` takes."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.support.pages import DOCS, command_lines, mentioned_commands, name_of, pages

REFERENCE = runpy.run_path(str(DOCS / "scripts" / "reference.py"))
ONEK = REFERENCE["whole_app"]()
PAGES = [page for page in pages() if page != REFERENCE["PAGE"]]


def command_of(words: list[str]) -> tuple[Any, str, list[str]]:
    """The command that words call, what it is called, and what it is given."""
    command, name, rest = ONEK, "onek", list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"{name} has no command {rest[0]}"
        name, command = f"{name} {rest[0]}", command.commands[rest.pop(0)]
    return command, name, rest


def options_of(command: Any) -> set[str]:
    return {"--help"} | {option for taken in command.params for option in (*taken.opts, *taken.secondary_opts)}


def test_the_reference_is_what_the_program_says() -> None:
    written = REFERENCE["PAGE"].read_text(encoding="utf-8")
    assert written == REFERENCE["page"](), "run `make docs`, or `python docs/scripts/reference.py`"


def test_every_command_and_option_is_documented() -> None:
    sections = dict(re.findall(r"^## (onek.*)\n((?:(?!^## ).*\n?)*)", REFERENCE["PAGE"].read_text("utf-8"), flags=re.MULTILINE))
    named = dict(REFERENCE["leaves"](ONEK, "onek"))
    assert len(named) > 40
    assert sections.keys() == {"onek", *named}
    for name, command in named.items():
        assert (command.help or "").split()[0] in sections[name], f"{name} says nothing"
        for taken in command.params:
            flags = taken.opts if taken.opts[0].startswith("-") else [taken.metavar or taken.name.upper()]
            for written in set(flags) - REFERENCE["UNTOLD"]:
                row = rf"^\| `[^`]*(?<![\w-]){re.escape(REFERENCE['cell'](written))}(?![\w-])[^`]*` \|"
                assert re.search(row, sections[name], flags=re.MULTILINE), f"{name} {written}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_command_lines_are_taken(page: Path) -> None:
    for words in command_lines(page):
        command, name, rest = command_of(words)
        if "..." not in rest:
            command.make_context(name, rest)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_that_are_mentioned_have_these_options(page: Path) -> None:
    for words in mentioned_commands(page):
        if "|" in words[-1] or words[0] == "...":
            continue
        command, name, rest = command_of(words)
        asked = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert asked <= options_of(command), f"{name}: {asked - options_of(command)}"


def test_a_command_line_that_is_wrong_is_noticed() -> None:
    command, name, rest = command_of(["identify", "photos/", "-g", "g", "--nothing"])
    with pytest.raises(Exception, match="No such option"):
        command.make_context(name, rest)
    with pytest.raises(AssertionError, match="no command recognise"):
        command_of(["recognise"])
