"""The command `onek help`."""

from collections.abc import Callable
from inspect import getdoc
from typing import Annotated

import typer


def help_command(
    context: typer.Context,
    command: Annotated[list[str] | None, typer.Argument(metavar="COMMAND", help="Default: all of them.")] = None,
) -> None:
    """Say what a command does, or list the commands."""
    from engine.errors import OnekError

    here = context.find_root()
    for word in command or []:
        known = getattr(here.command, "commands", {})
        if word not in known:
            raise OnekError(f"no command is called {word}; {_instead(word, list(known))}onek help lists them")
        here = typer.Context(known[word], info_name=word, parent=here)
    if text := here.get_help():  # where rich draws it, it is drawn already
        typer.echo(text)


def unbroken(command: Callable[..., None]) -> str:
    """What a command's docstring says, with line ends between paragraphs alone: a terminal has its own width."""
    return "\n\n".join(" ".join(each.split()) for each in (getdoc(command) or "").split("\n\n"))


def _instead(word: str, known: list[str]) -> str:
    from difflib import get_close_matches

    return "".join(f"did you mean {each}? " for each in get_close_matches(word, known, 1))
