"""Texts that a client sends back to us but cannot forge or change: cursors and challenges."""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

_DIGEST = 16


def signed(secret: str, kind: str, said: dict[str, Any]) -> str:
    """The values `said`, marked as of a `kind`, with a signature."""
    body = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(_digest(secret, kind, body) + body).decode().rstrip("=")


def read_signed(secret: str, kind: str, text: str) -> dict[str, Any] | None:
    """The signed values; None where they are of another kind, or not signed by us."""
    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (UnicodeEncodeError, binascii.Error, ValueError):
        return None
    digest, body = raw[:_DIGEST], raw[_DIGEST:]
    if not hmac.compare_digest(digest, _digest(secret, kind, body)):
        return None
    said: dict[str, Any] = json.loads(body)
    return said


def _digest(secret: str, kind: str, body: bytes) -> bytes:
    return hmac.new(secret.encode(), kind.encode() + b"\0" + body, hashlib.sha256).digest()[:_DIGEST]
