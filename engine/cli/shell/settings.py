"""Settings that people repeat: those of the user, of the folder, and of the environment; an option beats them all.

The user's own file and the environment may set whatever is listed in `SETTINGS`. A file in a folder may come from anybody, with
an archive that was unpacked: it may set only what can neither run something, nor write, nor let more strangers in. What is taken
from any of them is said.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ListError

NAME = "onek.toml"
PREFIX = "ONEK_"
# Bytes that a file of settings may have.
_LARGEST = 1 << 16
_ASKED = ("identify", "verify", "show", "explain")


@dataclass(frozen=True)
class Setting:
    """The option of the same name, for these commands; in a folder's file only for those of `in_folder`.

    `words`: what a folder's file may say, None: anything that the option takes.
    """

    about: str
    commands: tuple[str, ...]
    in_folder: tuple[str, ...] = ()
    words: tuple[str, ...] | None = None


SETTINGS: dict[str, Setting] = {
    "gallery": Setting("the gallery that is asked", (*_ASKED, "enroll", "remove", "rename"), _ASKED),
    "encoder": Setting("what makes templates", ("embed",)),
    "runtime": Setting("what runs the encoder", ("embed", "identify")),
    "faces": Setting("which faces are looked at", ("embed", "identify"), ("embed", "identify"), ("largest", "all", "none")),
    "labels": Setting("whose photographs they are", ("embed",), ("embed",), ("folder", "stem", "none")),
    "fpir": Setting("the share of strangers' searches that may get a name", ("identify",)),
    "fmr": Setting("the share of pairs that may be called the same", ("verify",)),
    "quality": Setting("what a photograph must be worth", ("embed", "identify", "verify", "enroll")),
    "top": Setting("how many candidates are returned", ("identify",), ("identify",)),
    "on-match": Setting("what becomes of a face that looks like somebody else", ("enroll",)),
    "threads": Setting("threads of the search", ("identify", "build-index")),
    "wait": Setting("how long to wait for another writer", ("enroll", "remove", "rename", "compact")),
}


@dataclass(frozen=True)
class Found:
    """A value that is set, as it is written, and where: a file's path, or a variable's name."""

    value: str
    where: str


@dataclass(frozen=True)
class Read:
    """What is set, and files that are left alone, with the reason. `folder`: those that a folder's file set."""

    found: dict[str, Found]
    left_alone: tuple[str, ...] = ()
    folder: frozenset[str] = frozenset()


def settings() -> Read:
    """What the user's file, then the folder's, then the environment sets; of one setting the last counts.

    Raises:
        ListError: a file is no TOML, or sets what there is not, or what a folder's file may not.
    """
    left: list[str] = []
    found = dict(_of_file(users_file(), left, in_folder=False))
    own = dict(_of_file(Path(NAME), left, in_folder=True))
    here = {name: Found(os.environ[variable], variable) for name in SETTINGS if (variable := variable_of(name)) in os.environ}
    return Read(found | own | here, tuple(left), frozenset(own) - frozenset(here))


def for_command(command: str, read: Read) -> dict[str, Found]:
    """Those of the settings that a command takes."""
    taken = {}
    for name, each in read.found.items():
        setting = SETTINGS[name]
        if command in (setting.in_folder if name in read.folder else setting.commands):
            taken[name] = each
    return taken


def users_file() -> Path:
    """Where the user's own settings lie, if there are any."""
    import platformdirs

    return platformdirs.user_config_path("onek") / NAME


def variable_of(name: str) -> str:
    """`ONEK_ON_MATCH` of `on-match`."""
    return PREFIX + name.upper().replace("-", "_")


def _of_file(path: Path, left: list[str], *, in_folder: bool) -> Iterator[tuple[str, Found]]:
    text = _text(path, left)
    if text is None:
        return
    import tomllib

    try:
        said = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ListError(f"{path}: not TOML: {error}") from error
    for key, value in said.items():
        name = key.replace("_", "-")
        if name not in SETTINGS:
            raise ListError(f"{path}: there is no setting {key[:40]!r}; expected {', '.join(SETTINGS)}")
        yield name, Found(_value(path, name, value, in_folder), str(path))


def _value(path: Path, name: str, value: Any, in_folder: bool) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ListError(f"{path}: {name} is a {type(value).__name__}; expected text or a number")
    said, setting = str(value), SETTINGS[name]
    if not in_folder:
        return said
    if not setting.in_folder:
        raise ListError(
            f"{path}: a file in a folder may come from anybody, so it cannot set {name}; "
            f"set it in {users_file()}, or as {variable_of(name)}"
        )
    if setting.words is not None and said not in setting.words:
        raise ListError(f"{path}: {name} is {said[:40]!r}; expected {', '.join(setting.words)} in a folder's file")
    if name == "gallery" and (Path(said).is_absolute() or ":" in said or ".." in Path(said).parts or said.startswith("-")):
        raise ListError(f"{path}: gallery is {said[:80]!r}; a folder's file may name one within the folder, such as 'gallery'")
    return said


def _text(path: Path, left: list[str]) -> str | None:
    """What a file says; None where there is none, or others than this user, or the system's, may have written it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        left.append(f"{path} is left alone: {error.strerror}")
        return None
    try:
        why = _doubt(os.fstat(descriptor))
        data = b"" if why else os.read(descriptor, _LARGEST + 1)
    finally:
        os.close(descriptor)
    if why:
        left.append(f"{path} is left alone: {why}")
        return None
    if len(data) > _LARGEST:
        left.append(f"{path} is left alone: it has more than {_LARGEST >> 10} KiB")
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ListError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from error


def _doubt(seen: os.stat_result) -> str | None:
    if not stat.S_ISREG(seen.st_mode):
        return "it is no file"
    if seen.st_uid not in (os.geteuid(), 0):
        return "it belongs to another user"
    if seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others may write to it; chmod go-w"
    return None
