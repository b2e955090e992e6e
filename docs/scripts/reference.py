"""Write docs/reference/commands.md out of the commands themselves: each command, argument and option, as the program has them.

    python docs/scripts/reference.py

`make docs` does so too, and `tests/test_documentation_commands.py` fails where the page is not what this writes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from benchmarks.cli import app as benchmarks
from engine.cli.app import app
from engine.cli.shell.examples import EXAMPLES

PAGE = Path(__file__).parents[1] / "reference" / "commands.md"
# What every command has, and what a shell is told.
UNTOLD = {"--help", "--install-completion", "--show-completion"}
INTRODUCTION = """# Commands

Made from the program by `docs/scripts/reference.py`; `onek COMMAND --help` says the same. Exit statuses: [errors](../errors.md).

"""


def whole_app() -> Any:
    """The command `onek` as it is installed: those of the engine, `demo` and `benchmark`."""
    root: Any = get_command(app)
    demo = typer.Typer()
    demo.command("demo")(benchmarks.demo)
    root.commands["demo"] = get_command(demo)
    root.commands["benchmark"] = get_command(benchmarks.benchmark)
    return root


def leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by what one types: those of a group in the group's place."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word, inner in command.commands.items():
        yield from leaves(inner, f"{name} {word}")


def page() -> str:
    """The whole page."""
    root = whole_app()
    named = list(leaves(root, "onek"))
    listed = "\n".join(f"| [`{name}`](#{anchor(name)}) | {first(each)} |" for name, each in named)
    parts = [f"| command | |\n|---|---|\n{listed}\n", section("onek", root)]
    return INTRODUCTION + "\n".join([*parts, *(section(name, each) for name, each in named)])


def anchor(name: str) -> str:
    """What a heading is called in an address."""
    return name.replace(" ", "-")


def first(command: Any) -> str:
    """The first sentence of a command's help."""
    return cell(" ".join((command.help or "").split()).split(". ")[0].rstrip("."))


def section(name: str, command: Any) -> str:
    """A heading, what the command does, how it is called, a row for each argument and option, and examples."""
    usage = " ".join([name, *command.collect_usage_pieces(command.make_context(name, [], resilient_parsing=True))])
    rows = [f"| `{cell(written)}` | {cell(said)} |" for written, said in taken_by(name, command)]
    table = "\n| | |\n|---|---|\n" + "\n".join(rows) + "\n" if rows else ""
    said = " ".join((command.help or "").split())
    examples = "".join(f"    {line}\n" for line in EXAMPLES.get(name.removeprefix("onek "), ()))
    return f"## {name}\n\n{said}\n\n    {usage}\n{table}" + (f"\n{examples}" if examples else "")


def taken_by(name: str, command: Any) -> Iterator[tuple[str, str]]:
    """Each argument and option: how it is written, and what is said of it, what it is by default included."""
    context = command.make_context(name, [], resilient_parsing=True)
    for each in command.get_params(context):
        record = each.get_help_record(context)
        if record and not set(each.opts) & UNTOLD:
            yield record


def cell(words: str) -> str:
    """Words as a cell of a table holds them."""
    return " ".join(words.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
