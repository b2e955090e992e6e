"""Where a service listens, and whether it may: what is checked before anybody can ask."""

import contextlib
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from engine.errors import GalleryError, ListError, OutputError
from engine.service.access.tokens import is_open_to_others, read_tokens
from engine.service.settings import Settings


def check_listening(settings: Settings) -> None:
    """Refuse to listen where others would reach it unasked, or with files that are none.

    Raises:
        OnekError: names the option, what was found, and what is expected.
    """
    if not settings.is_loopback and settings.tokens is None:
        raise GalleryError(
            f"--host {settings.host}: others reach this, and nobody would be asked for a token; expected --tokens FILE "
            "(onek token add makes one), or no --host"
        )
    for name in filter(None, settings.allowed_hosts.split(",")):
        if not re.fullmatch(r"[\w.-]+|\[[0-9A-Fa-f:.]+\]", name.strip()):
            raise GalleryError(f"--allow-host {name}: expected a name alone, such as door.example, without http:// and port")
    if settings.tokens is not None:
        path = Path(settings.tokens)
        try:
            tokens = read_tokens(path)
        except ListError as error:
            raise ListError(f"--tokens {error}") from error
        if not tokens:
            raise GalleryError(f"--tokens {path}: there is no token in it; onek token add makes one")
        if is_open_to_others(path):
            raise GalleryError(f"--tokens {path}: others than its owner may write to it; chmod 600 {path}")
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise GalleryError("--tls-cert and --tls-key go together; found one of them")
    if settings.tls_cert is not None and settings.tls_key is not None:
        _check_tls(settings.tls_cert, settings.tls_key)


def _check_tls(cert: str, key: str) -> None:
    for option, file, expected in (("--tls-cert", cert, b"CERTIFICATE"), ("--tls-key", key, b"PRIVATE KEY")):
        what = f"a file in PEM with -----BEGIN {expected.decode()}----- in it"
        try:
            found = Path(file).read_bytes()
        except OSError as error:
            raise GalleryError(f"{option} {file}: {error.strerror or error}; expected {what}") from error
        if not re.search(rb"-----BEGIN [A-Z0-9 ]*" + expected, found):
            raise GalleryError(f"{option} {file}: found {len(found):,} bytes of something else; expected {what}")
        if b"ENCRYPTED" in found and option == "--tls-key":
            raise GalleryError(f"{option} {file}: the key takes a password, and nobody is there to say it; expected one without")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            raise GalleryError(f"--tls-key {key}: another certificate's; expected the key of --tls-cert {cert}") from error
        raise GalleryError(f"--tls-cert {cert}, --tls-key {key}: OpenSSL takes them not: {error.reason or error}") from error


@contextlib.contextmanager
def listening_at(settings: Settings) -> Iterator[socket.socket]:
    """A socket at the address.

    Raises:
        OutputError: it is taken, or no address of this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio sends small packets at once (TCP_NODELAY) only where the socket names its protocol; else answers wait 40 ms.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((settings.host, settings.port))
    except (socket.gaierror, UnicodeError) as error:
        found.close()
        raise OutputError(f"--host {settings.host}: no address of this machine; expected one, or no --host") from error
    except OSError as error:
        found.close()
        raise OutputError(f"cannot listen at {settings.host}:{settings.port}: {error.strerror or error}; say --port") from error
    try:
        found.listen(1024)
        found.set_inheritable(True)
        yield found
    finally:
        found.close()
