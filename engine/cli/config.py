"""`onek config`, and how settings become the defaults of options. Parse, call, print."""

from typing import Any

import typer

from engine.cli.shell.settings import SETTINGS, Read, for_command, settings, variable_of
from engine.errors import OnekError


def use_settings(ctx: typer.Context) -> None:
    """Make what is set the defaults of the command that was called, and say so of what it then takes."""
    command = ctx.invoked_subcommand
    if command is None or not any(command in setting.commands for setting in SETTINGS.values()):
        return
    try:
        read = settings()
    except OnekError as error:  # which is raised when the command runs: its help can be read all the same
        ctx.meta[_META] = error
        return
    taken = for_command(command, read)
    ctx.default_map = {command: {name.replace("-", "_"): each.value for name, each in taken.items()}}
    ctx.meta[_META] = (read, taken)


_META = "onek.settings"


def tell_settings(ctx: typer.Context) -> None:
    """Say of the command that runs which of its options were set elsewhere, and which files were left alone.

    Raises:
        OnekError: what is set cannot be read.
    """
    from engine.cli.console import err

    found = ctx.meta.get(_META, (Read({}), {}))
    if isinstance(found, OnekError):
        raise found
    read, taken = found
    for line in read.left_alone:
        err.print(line)
    for name, each in taken.items():
        source = ctx.get_parameter_source(name.replace("-", "_"))
        if source is not None and source.name == "DEFAULT_MAP":
            err.print(f"--{name} {each.value}, as {each.where} says")


def config_command() -> None:
    """Show what is set, and where.

    The user's file, then onek.toml in this folder, then variables such as ONEK_GALLERY; an option beats them all.
    """
    from engine.cli.console import answer, columns, err
    from engine.cli.shell.settings import NAME, users_file

    read = settings()
    for line in read.left_alone:
        err.print(line)
    rows: list[tuple[str, str, str]] = []
    told: list[dict[str, Any]] = []
    for name, setting in SETTINGS.items():
        found = read.found.get(name)
        where = found.where if found else ""
        rows.append((name, found.value if found else "", where or f"not set ({variable_of(name)}): {setting.about}"))
        told.append({"name": name, "value": found.value if found else None, "where": where or None})
    files = [str(users_file()), NAME]
    for line in columns(rows):
        answer(line, settings=told, files=files, left_alone=list(read.left_alone))
    answer(f"files: {files[0]}, then {NAME} in this folder")
