"""What every command takes: how much it says, and whether people or programs are told."""

import inspect
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Annotated, Any

import typer

from engine.cli.config import tell_settings
from engine.cli.shell.wording import in_options, options_of
from engine.errors import OnekError

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but what was asked for, and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Say also what is logged, how long it took, and the memory taken.")]
AsJson = Annotated[bool, typer.Option("--json", help="Tell programs: one JSON object on standard output, when all is done.")]
SPOKEN = {"quiet": Quiet, "verbose": Verbose, "as_json": AsJson}


def spoken(command: Callable[..., None]) -> Callable[..., None]:
    """The same command with --quiet, --verbose and --json, which go to `engine.cli.console`."""
    signature = inspect.signature(command, eval_str=True)
    called = options_of(signature.parameters)
    here = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind) for name, kind in SPOKEN.items()
    ]

    @wraps(command)
    def run(*arguments: Any, context: typer.Context, quiet: bool, verbose: bool, as_json: bool, **options: Any) -> None:
        from engine.cli.console import telling

        began = time.monotonic()
        with telling(quiet=quiet, as_json=as_json), _logged(verbose):
            try:
                tell_settings(context)
                command(*arguments, **options)
            except OnekError as error:
                error.args = (in_options(str(error), called), *error.args[1:])
                raise
            finally:
                if verbose:
                    _tell_costs(time.monotonic() - began)

    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), here, *more])  # type: ignore[attr-defined]
    return run


@contextmanager
def _logged(verbose: bool) -> Iterator[None]:
    """What onek logs, on standard error while the block lasts, where that was asked for."""
    if not verbose:
        yield
        return
    from rich.logging import RichHandler

    from engine.cli.console import err

    handler = RichHandler(console=err, show_path=False, show_time=False)
    loggers = [logging.getLogger(name) for name in ("engine", "indexes")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)


def _tell_costs(seconds: float) -> None:
    import humanfriendly
    import psutil

    from engine.cli.console import err

    held = psutil.Process().memory_info().rss
    err.print(f"{seconds:.2f} s; {humanfriendly.format_size(held, binary=True)} of memory at the end")
