"""The command `onek`: its commands put together, and how it ends. Exit status: 0 all well, 3 done with problems, 2 the user must
change something, 4 not the same person (`verify`), 1 a defect of ours.
"""

import io
import signal
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import entry_points, version
from typing import Annotated, Any

import typer

from engine.cli.config import config_command, use_settings
from engine.cli.evaluate import evaluate_command, report_command
from engine.cli.exchange import export_command, import_command
from engine.cli.galleries.calibration import audit_command, calibrate_command
from engine.cli.galleries.enrolment import compact_command, enroll_command, remove_command, rename_command
from engine.cli.galleries.maintenance import backup_command, check_command, merge_command
from engine.cli.galleries.people import erase_command, list_command, show_command
from engine.cli.galleries.reports import encoders_command, info_command
from engine.cli.grouping import group_command
from engine.cli.main_path.build_index import build_index_command
from engine.cli.main_path.embed import embed_command
from engine.cli.main_path.identify import identify_command, verify_command
from engine.cli.networks.inspection import explain_command, explain_encoder_command
from engine.cli.networks.style import stylise_command
from engine.cli.networks.training import project_command, train_command, train_head_command, train_projection_command
from engine.cli.options import CHANGE_SOMETHING, INTERRUPTED
from engine.cli.serving.serve import serve_command
from engine.cli.serving.tokens import token
from engine.cli.shell.doctor import doctor_command
from engine.cli.shell.examples import below
from engine.cli.shell.help import help_command, unbroken
from engine.cli.shell.pipes import ended_by_its_reader
from engine.cli.shell.spoken import spoken
from engine.common.allocator import give_large_blocks_back
from engine.common.late import keep_pandas_out
from engine.errors import FormerFile, ListGuess, OnekError

app = typer.Typer(
    name="onek",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Recognise one in K: photographs or vectors in, names or 'unknown' out.",
)
# By the groups of `onek --help`, in the order in which it lists them.
COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "Photographs": {
        "embed": embed_command,
        "identify": identify_command,
        "verify": verify_command,
        "group": group_command,
    },
    "Galleries": {
        "build-index": build_index_command,
        "import": import_command,
        "export": export_command,
        "info": info_command,
        "merge": merge_command,
        "calibrate": calibrate_command,
    },
    "People": {
        "enroll": enroll_command,
        "remove": remove_command,
        "rename": rename_command,
        "list": list_command,
        "show": show_command,
        "erase": erase_command,
    },
    "Care": {
        "check": check_command,
        "compact": compact_command,
        "backup": backup_command,
        "doctor": doctor_command,
        "config": config_command,
        "help": help_command,
    },
    "Measuring": {
        "evaluate": evaluate_command,
        "report": report_command,
        "audit": audit_command,
        "explain": explain_command,
    },
    "Serving": {
        "serve": serve_command,
    },
    "Encoders": {
        "encoders": encoders_command,
        "train": train_command,
        "train-projection": train_projection_command,
        "train-head": train_head_command,
        "project": project_command,
        "explain-encoder": explain_encoder_command,
        "stylise": stylise_command,
    },
}
# Those that end with no answer for programs.
UNSPOKEN = (help_command, serve_command)
# Where commands go that other packages bring.
BROUGHT = "Measuring"
for _group, _commands in COMMANDS.items():
    for _name, _command in _commands.items():
        _told = _command if _command in UNSPOKEN else spoken(_command)
        app.command(_name, help=unbroken(_command), rich_help_panel=_group, epilog=below(_name))(_told)
app.add_typer(token, name="token", rich_help_panel="Serving")


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context, show_version: Annotated[bool, typer.Option("--version", "-V", help="Print the version.")] = False
) -> None:
    if show_version:
        typer.echo(f"onek {version('onek')}")
        raise typer.Exit
    _say_guesses()
    use_settings(ctx)


def _say_guesses() -> None:
    """Print warnings about guesses (`ListGuess`) and former files as one line each; leave other warnings as they are."""
    others = warnings.showwarning

    def say(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, ListGuess | FormerFile):
            from engine.cli.console import err

            err.print(str(message))
        else:
            others(message, category, *where, **more)

    for kind in (ListGuess, FormerFile):
        warnings.simplefilter("always", kind)
    warnings.showwarning = say


def _tidy_at_the_end() -> None:
    """Treat SIGTERM (`kill`) and SIGHUP (a closed terminal) as Ctrl-C, so that nothing is left half made."""
    for name in ("SIGTERM", "SIGHUP"):
        asked = getattr(signal, name, None)
        if asked is not None and signal.getsignal(asked) == signal.SIG_DFL:
            signal.signal(asked, signal.default_int_handler)


def main() -> None:
    """Run the command line; every error that the user can mend ends in one line and exit status 2."""
    _tidy_at_the_end()
    give_large_blocks_back()
    own = {command.name or str(getattr(command.callback, "__name__", "")) for command in app.registered_commands}
    if len(sys.argv) > 1 and sys.argv[1] in own - {"help"}:
        keep_pandas_out()
    else:
        _load_commands_of_others()
    for stream in (sys.stdout, sys.stderr):
        # What an encoding cannot say is said by escapes: names are of any language, and a terminal may be of ASCII.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with ended_by_its_reader():
            app()
    except OnekError as error:
        from engine.cli.console import err

        err.print(f"onek: {error}")
        sys.exit(CHANGE_SOMETHING)
    except SystemExit as end:  # Typer turns Ctrl-C into this one, and says nothing
        if end.code == INTERRUPTED:
            typer.echo(f"onek: interrupted; {_left()}", err=True)
        raise


def _load_commands_of_others() -> None:
    for command in entry_points(group="onek.commands"):
        loaded = command.load()
        if isinstance(loaded, typer.Typer):
            app.add_typer(loaded, name=command.name, rich_help_panel=BROUGHT)
        else:
            app.command(command.name, rich_help_panel=BROUGHT, epilog=below(command.name))(loaded)


def _left() -> str:
    """Which outputs of an interrupted command are complete, in words."""
    from engine.files.atomic_files import outputs_finished
    from engine.files.escaping import shown
    from engine.files.object_storage import uri

    if not (finished := outputs_finished()):
        return (
            "nothing was left under its final name (embed goes on with --resume); "
            "a gallery that was being changed is as before the change, or after it"
        )
    return f"{shown(', '.join(uri(path) for path in finished))}: finished, and whole"
