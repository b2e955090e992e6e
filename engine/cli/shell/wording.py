"""Errors in the words of the command line: the library says `overwrite=True`, a command `--overwrite`."""

import re
from collections.abc import Mapping
from inspect import Parameter
from typing import Any, get_args

# A call, which stays; or a parameter with a value: True, a text in quotes, dots where any value goes, or a word. Each begins
# where no word goes on, so that a long name is not looked through from each of its letters.
_GIVEN = re.compile(r"(?<![\w.])[\w.]+\([^()\n]*\)|(?<![\w.?&-])([a-z][a-z_]*)=(?:(True)\b|'([^'\n]*)'|(\.\.\.)|(\w[\w.-]*))")


def in_options(message: str, options: Mapping[str, str]) -> str:
    """A message of the library with the options of a command in place of the parameters of a call; what is no option of it stays.

    `options`: what each parameter is called on the command line.
    """

    def said(found: re.Match[str]) -> str:
        name, yes, quoted, any_value, word = found.groups()
        if name not in options:
            return found[0]
        if yes or any_value:
            return options[name]
        value = quoted if word is None else word
        return f"{options[name]} {value}" if value else f"{options[name]} ''"

    return _GIVEN.sub(said, message)


def options_of(parameters: Mapping[str, Parameter]) -> dict[str, str]:
    """What each parameter of a command is called: `--on-match` of `on_match`, or as its `typer.Option` says."""
    return {name: said for name, each in parameters.items() if (said := _option(name, each.annotation))}


def _option(name: str, annotation: Any) -> str | None:
    """None for an argument."""
    declared = next((each for each in get_args(annotation)[1:] if hasattr(each, "param_decls")), None)
    if declared is None or type(declared).__name__ != "OptionInfo":
        return None
    long = [each.partition("/")[0] for each in declared.param_decls or () if each.startswith("--")]
    return long[0] if long else f"--{name.replace('_', '-')}"
