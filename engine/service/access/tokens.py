"""Tokens: 256 random bits each. A file keeps their SHA-256 and their roles, and is read again when it changes.

A hash that is quick to compute will do, since nobody guesses 256 bits; passwords would need a slow one.
"""

import hashlib
import hmac
import re
import secrets
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from engine.common.locks import ThreadLock
from engine.errors import ListError
from engine.files.atomic_files import whole_file

DOOR, DESK, ADMIN = "door", "desk", "admin"
ROLES = (DOOR, DESK, ADMIN)
"""Each may do what those before it may: `door` identifies and verifies, `desk` enrols and removes, `admin` erases and checks."""

_TEXT = re.compile(r"onek_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_LABEL = re.compile(r"[^\x00-\x1f\x7f\"\\]{0,100}")
_FIELDS = ("id", "role", "label", "sha256", "created")


@dataclass(frozen=True)
class Token:
    """A token as it is kept: what it is called by, what it may, whom it was made for, the `sha256` of its text, and when."""

    id: str
    role: str
    label: str
    sha256: str
    created: str

    def may(self, role: str) -> bool:
        """Whether the token has the rights of a role."""
        return ROLES.index(self.role) >= ROLES.index(role)


# Stands for every client where no tokens are required: anybody on this machine.
ANYBODY = Token("", ADMIN, "anybody on this machine", "", "")


def read_tokens(path: Path) -> list[Token]:
    """The tokens of a file.

    Raises:
        ListError: it cannot be read, or is no file of tokens; names what is wrong.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ListError(f"{path}: there is no such file; onek token add makes one") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ListError(f"{path}: no file of tokens: {error}") from error
    rows = found.get("token", [])
    if set(found) - {"token"} or not isinstance(rows, list):
        raise ListError(f"{path}: no file of tokens; expected tables [[token]] alone")
    return [_token(row, path, number) for number, row in enumerate(rows, 1)]


def add_token(path: Path, role: str, label: str = "") -> str:
    """Make a token, and keep its hash in a file, which is made where there is none. Its text, which is nowhere else.

    Raises:
        ListError: no such role, the label is none, or the file is no file of tokens.
        OutputError: it cannot be written.
    """
    if role not in ROLES:
        raise ListError(f"--role {role}: expected {', '.join(ROLES)}")
    if not _LABEL.fullmatch(label):
        raise ListError("--label: expected up to 100 characters, without quotes, backslashes and control characters")
    text = f"onek_{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"
    made = Token(text.split("_")[1], role, label, _hashed(text), datetime.now(UTC).isoformat(timespec="seconds"))
    with _changing(path):
        _write(path, [*(read_tokens(path) if path.exists() else []), made])
    return text


def withdraw_token(path: Path, name: str) -> Token:
    """Take a token, by its id, out of a file: a service that reads the file refuses it from its next request on.

    Raises:
        ListError: there is none of that id, or the file is no file of tokens.
        OutputError: it cannot be written.
    """
    with _changing(path):
        found = read_tokens(path)
        gone = next((token for token in found if token.id == name), None)
        if gone is None:
            raise ListError(f"{path}: no token has the id {name}; onek token list shows them")
        _write(path, [token for token in found if token is not gone])
    return gone


class Tokens:
    """The tokens of a file as it is now. Where it cannot be read, nobody is let in."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading = ThreadLock()
        self._seen: tuple[Any, ...] | None = None
        self._tokens: dict[str, Token] = {}
        self._refresh()

    def of(self, text: str) -> Token | None:
        """The token with this text; None where there is none."""
        self._refresh()
        shape = _TEXT.fullmatch(text)
        token = self._tokens.get(shape[1]) if shape else None
        # Compared also where there is no such id, so that the time an answer takes does not tell whether there is one.
        same = hmac.compare_digest(_hashed(text), token.sha256 if token else "0" * 64)
        return token if same else None

    def __len__(self) -> int:
        return len(self._tokens)

    def _refresh(self) -> None:
        with self._reading:
            try:
                found = self._path.stat()
                now = (found.st_ino, found.st_mtime_ns, found.st_size)
            except OSError:
                now = None
            if now is None:
                self._seen, self._tokens = None, {}
            elif now != self._seen:
                try:
                    self._tokens = {token.id: token for token in read_tokens(self._path)}
                except ListError:
                    self._tokens = {}
                self._seen = now


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _token(row: Any, path: Path, number: int) -> Token:
    if not isinstance(row, dict) or set(row) != set(_FIELDS) or not all(isinstance(value, str) for value in row.values()):
        raise ListError(f"{path}: token {number} is none; expected the texts {', '.join(_FIELDS)}")
    token = Token(**row)
    if token.role not in ROLES or not re.fullmatch("[0-9a-f]{64}", token.sha256) or not re.fullmatch("[0-9a-f]{12}", token.id):
        raise ListError(f"{path}: token {number} has no role of {', '.join(ROLES)}, no id or no SHA-256")
    return token


def _write(path: Path, tokens: Iterable[Token]) -> None:
    lines = ["# Tokens of onek serve: onek token add, list and withdraw change this file. It holds hashes, and no token."]
    for token in tokens:
        lines += ["", "[[token]]", *(f'{name} = "{getattr(token, name)}"' for name in _FIELDS)]
    with whole_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _changing(path: Path) -> FileLock:
    return FileLock(path.with_name(f".{path.name}.lock"), timeout=10, mode=0o600)


def is_open_to_others(path: Path) -> bool:
    """Whether others than its owner may write to a file, and so let themselves in."""
    return bool(path.stat().st_mode & 0o022)
