"""The address of a gallery in Milvus."""

import re
from dataclasses import dataclass
from pathlib import Path

from engine.errors import GalleryError

TLS, SERVER, LITE = "milvus+tls://", "milvus://", "milvus-lite:"
_EXPECTED = f"{SERVER}HOST:PORT/NAME, {TLS}HOST:PORT/NAME or {LITE}PATH.db/NAME"
# What Milvus takes for a collection, and room for what we put behind it.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")


@dataclass(frozen=True)
class Address:
    """`uri` is what pymilvus connects to, `name` what the gallery is called there; as `text`, as the user gave it."""

    text: str
    uri: str
    name: str

    def __str__(self) -> str:
        return self.text


def is_milvus(where: str | Path) -> bool:
    """Whether a gallery is said to lie in Milvus."""
    return str(where).startswith((TLS, SERVER, LITE))


def parse(text: str) -> Address:
    """Read an address.

    Raises:
        GalleryError: it is none; says what one looks like.
    """
    rest = next(text.removeprefix(scheme) for scheme in (TLS, SERVER, LITE) if text.startswith(scheme))
    place, _, name = rest.rpartition("/")
    if not place or not _NAME.fullmatch(name):
        raise GalleryError(f"{text}: expected {_EXPECTED}; a NAME has letters, digits and _")
    if text.startswith(LITE):
        if not place.endswith(".db"):
            raise GalleryError(f"{text}: expected {LITE}PATH.db/NAME")
        if not Path(place).absolute().parent.is_dir():
            raise GalleryError(f"{text}: there is no folder {Path(place).parent}; create it first")
        return Address(text, place, name)
    if not re.fullmatch(r"[^/:@]+:\d{1,5}", place):
        raise GalleryError(f"{text}: expected {_EXPECTED}; a token is taken from the environment")
    return Address(text, f"{'https' if text.startswith(TLS) else 'http'}://{place}", name)
