"""The commands `token add`, `token list` and `token withdraw`: parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

token = typer.Typer(no_args_is_help=True, help="Make, list and withdraw the tokens of onek serve.")
TokenFile = Annotated[Path, typer.Argument(metavar="TOKENS.toml", help="The file of tokens; it holds hashes alone.")]


@token.command("add")
def add_command(
    file: TokenFile,
    role: Annotated[str, typer.Option(metavar="door|desk|admin", help="Identify; and enrol and remove; and erase and check.")],
    label: Annotated[str, typer.Option(metavar="TEXT", help="Whom it is for.")] = "",
) -> None:
    """Make a token, and print it: it is shown this once, and kept nowhere."""
    from engine.cli.console import err
    from engine.service.access.tokens import add_token

    text = add_token(file, role, label)
    err.print(f"{file} has the hash of this token, with the role {role}; whoever has the token may do that:")
    typer.echo(text)


@token.command("list")
def list_command(file: TokenFile) -> None:
    """List the tokens, as CSV: id, role, when made, whom for."""
    import sys

    from engine.service.access.tokens import read_tokens
    from engine.tables.sheets import Sheet

    sheet = Sheet(sys.stdout, ["id", "role", "created", "label"])
    for each in read_tokens(file):
        sheet.write((each.id, each.role, each.created, each.label))


@token.command("withdraw")
def withdraw_command(
    file: TokenFile, name: Annotated[str, typer.Argument(metavar="ID", help="As onek token list shows it.")]
) -> None:
    """Withdraw a token: a service that runs refuses it from its next request on."""
    from engine.cli.console import out
    from engine.service.access.tokens import withdraw_token

    gone = withdraw_token(file, name)
    out.print(f"{gone.id} ({gone.role}{', ' + gone.label if gone.label else ''}) is withdrawn")
