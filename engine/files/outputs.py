"""One rule for what commands write: never what they read, and nothing is replaced that nobody said may be."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.errors import OutputError, StorageError
from engine.files.atomic_files import check_output
from engine.files.object_storage import exists, is_remote, uri

_GALLERY = "catalogue.sqlite"


def check_outputs(out: Path, inputs: Iterable[Path], overwrite: bool, besides: Sequence[Path] = ()) -> None:
    """Refuse, before any work, an output, or one of the files that are written `besides` it, that must not be written.

    Raises:
        OutputError: it is an input, or holds one, whatever links lead there; it lies in a gallery; it exists and `overwrite` is
            false; or its folder is missing or not writable.
    """
    refuse_inputs([out, *besides], inputs)
    check_output(out, overwrite)
    for each in besides:
        if not overwrite and exists(each):
            raise OutputError(
                f"{uri(each)} exists already, and one of that name goes with {uri(out)}; choose another name, "
                "or pass overwrite=True to replace both"
            )


def refuse_inputs(outputs: Sequence[Path], inputs: Iterable[Path]) -> None:
    """Refuse outputs that are inputs, hold one, or lie in a gallery. Raises `OutputError`."""
    read = list(inputs)
    for output in outputs:
        if not is_remote(output) and (output.parent / _GALLERY).exists():
            raise OutputError(f"{output} would lie in the gallery {output.parent}; choose a name elsewhere")
        for each in read:
            if _same(output, each):
                raise OutputError(f"{uri(output)} is read, so it cannot be the output as well; choose another name")
            if _resolved(output) in _resolved(each).parents:
                raise OutputError(f"{uri(output)} holds {uri(each)}, which is read; choose another name for the output")


def require_local(path: Path, what: str) -> None:
    """Refuse what can only be a folder of this machine. Raises `StorageError`."""
    if is_remote(path):
        raise StorageError(f"{uri(path)}: {what} is a folder of this machine; name one")


def _same(one: Path, two: Path) -> bool:
    try:
        if not is_remote(one) and not is_remote(two) and os.path.samefile(one, two):  # noqa: PTH121 - two paths alike
            return True
    except OSError:  # one is not there, so that names decide
        pass
    return _resolved(one) == _resolved(two)


def _resolved(path: Path) -> Path:
    """Where a path leads, through all links."""
    return Path(os.path.normpath(path)) if is_remote(path) else Path(os.path.realpath(path))
