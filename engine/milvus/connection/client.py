"""Calls to Milvus: each within a time, each failure one line."""

import hashlib
import json
import os
import re
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.errors import GalleryError
from engine.milvus.connection.address import LITE, Address
from engine.milvus.connection.embedded import release, serve
from engine.milvus.connection.unlogged import unlogged

TOKEN = "ONEK_MILVUS_TOKEN"  # noqa: S105
"""The environment variable that holds the token, or USER:PASSWORD."""

# Seconds that a call may take, the client's own retries included; and one that moves or indexes a whole collection.
SECONDS, LONG = 30.0, 3600.0
# The least server that has what is used: fields that may be null, and inverted indexes of scalars.
_LEAST = (2, 5)
# Rows that are asked for at a time; Milvus answers 16,384 at the most.
_PAGE = 4000
MOST_HITS = 16_384
# Keys in one filter.
_KEYS = 1000
_REFUSED = re.compile(r"unauthenticated|auth check|authenticat|permission|privilege", re.IGNORECASE)

Row = dict[str, Any]


def key_of(text: str) -> str:
    """128 bits of a text's BLAKE2b as 32 hexadecimal digits: what filters may hold, whatever people are called."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class MilvusConnection:
    """A connection to the Milvus that an address names.

    Raises:
        GalleryError: from every call: pymilvus is missing, nobody answers, the token is refused, or Milvus says no.
    """

    def __init__(self, address: Address, seconds: float = SECONDS) -> None:
        self.address = address
        self._seconds = seconds
        self._process = os.getpid()
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
        try:
            import pymilvus
        except ImportError as error:
            raise GalleryError(f"{address} needs pymilvus, which is not installed; pip install 'onek[milvus]'") from error
        self._errors = pymilvus.exceptions.MilvusException
        try:
            with unlogged:
                uri = serve(address) if address.text.startswith(LITE) else address.uri
                self._client = pymilvus.MilvusClient(uri=uri, token=os.environ.get(TOKEN, ""), timeout=seconds)
        except self._errors as error:
            raise GalleryError(self._said(error)) from error
        self.version = str(self.call("get_server_version"))
        numbers = re.search(r"(\d+)\.(\d+)", self.version)
        if numbers is None or tuple(map(int, numbers.groups())) < _LEAST:
            least = ".".join(map(str, _LEAST))
            raise GalleryError(f"{address}: the server is Milvus {self.version}; expected {least} or later, so take a newer one")

    @property
    def lite(self) -> bool:
        """Whether the server is the embedded one, wherever it runs."""
        return "lite" in self.version

    def call(self, name: str, *args: Any, seconds: float | None = None, **values: Any) -> Any:
        """Call a method of `MilvusClient`."""
        if self._process != os.getpid():
            raise GalleryError(
                f"{self.address} was opened before this process was forked, and a connection does not outlive that: open it in "
                "each process, and start these by multiprocessing's spawn or forkserver"
            )
        try:
            with unlogged:
                return getattr(self._client, name)(*args, timeout=seconds or self._seconds, **values)
        except self._errors as error:
            raise GalleryError(self._said(error)) from error

    def count(self, collection: str, where: str = "") -> int:
        """How many rows there are, of those that a filter picks."""
        return int(self.call("query", collection, filter=where, output_fields=["count(*)"])[0]["count(*)"])

    def rows(self, collection: str, where: str, fields: Sequence[str], prefix: str = "") -> Iterator[Row]:
        """The rows that a filter picks, in the order of their `key`, which begins with `prefix`.

        Milvus promises no order of what it gives of many: where there is more than a page, the keys that begin with each digit
        are asked for by themselves.
        """
        within = f'key >= "{prefix}" and key < "{prefix[:-1]}{chr(ord(prefix[-1]) + 1)}"' if prefix else ""
        wanted = " and ".join(f"({part})" for part in (where, within) if part)
        page = self.call("query", collection, filter=wanted, output_fields=["key", *fields], limit=_PAGE, seconds=LONG)
        if len(page) < _PAGE:
            yield from sorted(page, key=lambda row: str(row["key"]))
            return
        for digit in "0123456789abcdef":
            yield from self.rows(collection, where, fields, prefix + digit)

    def rows_in(self, collection: str, field: str, keys: Sequence[str], fields: Sequence[str]) -> Iterator[Row]:
        """The rows whose `field` is one of some keys."""
        ordered = sorted(set(keys))
        for start in range(0, len(ordered), _KEYS):
            yield from self.rows(collection, one_of(field, ordered[start : start + _KEYS]), fields)

    def close(self) -> None:
        """Let go of the server; of an embedded one, of its files as well."""
        with unlogged:
            self._client.close()
            if self.address.text.startswith(LITE):
                release(Path(self.address.uri))

    def _said(self, error: Exception) -> str:
        text = " ".join(str(getattr(error, "message", "") or error).split())
        if "UNAUTHENTICATED" in "".join(traceback.format_exception(error)):
            # What a server says to a wrong token, the client calls a failure to connect.
            text = "UNAUTHENTICATED"
        if _REFUSED.search(text):
            return f"{self.address}: the token was refused ({text[:200]}); put another into {TOKEN}"
        if re.search(r"connect|unavailable|deadline|timeout", text, re.IGNORECASE):
            return (
                f"{self.address}: no answer from {self.address.uri} within {self._seconds:g} s ({text[:200]}); is Milvus running?"
            )
        return f"{self.address}: Milvus says: {text[:300]}"


def one_of(field: str, keys: Sequence[str]) -> str:
    """A filter of rows whose `field` is one of some keys."""
    return f"{field} in {json.dumps(list(keys))}"
