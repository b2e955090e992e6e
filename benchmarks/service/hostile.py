"""Requests that mean a service ill: broken heads, bodies, pictures, JSON, tokens and paths. None may be answered 500."""

import json
import re
import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from benchmarks.service.running import Running, untold
from engine.common.concurrency import batched
from engine.faces.images import ImageBytes, decode

# Seconds until a client that was not answered, having sent no whole request perhaps, goes away; clients at once.
_PATIENCE, _CLIENTS = 2.0, 8
# The same for a picture with sides of so many pixels.
_LONG, _SIDE = 120.0, 1920


@dataclass(frozen=True)
class Borne:
    """What `requests` came to: how often each status (0: closed without an answer), `tracebacks` in the log, and the service's
    memory in MiB: `early`, when every thread had looked at the largest copies of pictures that there are, and at the end.
    """

    requests: int
    statuses: dict[int, int]
    tracebacks: int
    alive: bool
    early: float
    late: float


def bear(
    gallery: Path,
    requests: int,
    picture: bytes,
    *,
    tokens: Path | None,
    token: str | None,
    log: Path,
    seed: int = 0,
    progress: Callable[[int], None] = untold,
) -> Borne:
    """Send so many to a service of a gallery; `picture` is the file that broken ones are made of."""
    random = np.random.default_rng(seed)
    options = ["--rate", 0, "--events", 1, *(["--tokens", tokens] if tokens else [])]
    statuses: Counter[int] = Counter()
    with Running(gallery, *options, log=log) as service:
        large = _request("POST", f"/v1/galleries/{gallery.name}/identify", enlarged(picture), token)
        with ThreadPoolExecutor(_CLIENTS) as pool:
            list(pool.map(partial(sent, service.port, patience=_LONG), [large] * _CLIENTS))
        early = service.mebibytes()
        made = (hostile(random, picture, gallery.name, token) for _ in range(requests))
        with ThreadPoolExecutor(_CLIENTS) as pool:
            for part in batched(made, max(1, requests // 10)):
                for status in pool.map(partial(sent, service.port), part):
                    statuses[status] += 1
                    progress(1)
        late = service.mebibytes()
        alive = sent(service.port, b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n") == 200
    return Borne(requests, dict(sorted(statuses.items())), service.said().count("Traceback"), alive, early, late)


def enlarged(picture: bytes) -> bytes:
    """A file of a picture whose sides are as long as those of the largest copies on which faces are looked for."""
    return bytes(cv2.imencode(".jpg", cv2.resize(decode(ImageBytes(picture)), (_SIDE, _SIDE))[..., ::-1])[1])


def sent(port: int, request: bytes, patience: float = _PATIENCE) -> int:
    """The status of the answer to some bytes; 0 where there was none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=patience) as line:
            line.sendall(request)
            answer = b""
            while b"\r\n" not in answer and (part := line.recv(4096)):
                answer += part
    except OSError:
        return 0
    found = re.match(rb"HTTP/1\.1 (\d{3})", answer)
    return int(found[1]) if found else 0


def hostile(random: np.random.Generator, picture: bytes, gallery: str, token: str | None) -> bytes:
    """The bytes of one request, of one of six kinds."""
    kind = (_of_heads, _of_bodies, _of_pictures, _of_json, _of_tokens, _of_paths)[int(random.integers(6))]
    return kind(random, picture, f"/v1/galleries/{gallery}", token)


def _request(
    method: str, path: str, body: bytes = b"", token: str | None = None, kind: str = "application/octet-stream", more: bytes = b""
) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    if token is not None:
        head += f"Authorization: Bearer {token}\r\n"
    return head.encode("latin-1", "replace") + more + b"Connection: close\r\n\r\n" + body


def _pick(random: np.random.Generator, of: "list[bytes] | list[str]") -> "bytes | str":
    return of[int(random.integers(len(of)))]


def _of_heads(random: np.random.Generator, picture: bytes, base: str, token: str | None) -> bytes:
    whole = bytearray(_request("POST", f"{base}/identify", picture[:200], token))
    head = whole.index(b"\r\n\r\n")
    match int(random.integers(6)):
        case 0:
            for at in random.integers(head, size=int(random.integers(1, 8))):
                whole[at] = int(random.integers(256))
        case 1:
            return bytes(whole[: int(random.integers(head))])
        case 2:
            more = b"X-" + bytes(random.integers(33, 127, size=20, dtype=np.uint8)) + b": " + b"a" * int(random.integers(40_000))
            return _request("GET", f"{base}/identities", token=token, more=more + b"\r\n")
        case 3:
            return _request("POST", f"{base}/identify", picture, token, more=b"Transfer-Encoding: chunked\r\n")
        case 4:
            odd = [
                b"Content-Length: -1\r\n",
                b"Content-Length: 99999999999999999999\r\n",
                b"Expect: 100-continue\r\n",
                b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
                b"Range: bytes=0-\r\n",
                b"Host: elsewhere\r\n",
                b"Origin: null\r\n",
                b"X-Request-ID: \xff\xfe\r\n",
                b"Content-Encoding: gzip\r\n",
            ]
            return _request("POST", f"{base}/identify", picture[:99], token, more=bytes(_pick(random, odd)))  # type: ignore[arg-type]
        case _:
            return bytes(random.integers(256, size=int(random.integers(1, 300)), dtype=np.uint8))
    return bytes(whole)


def _of_bodies(random: np.random.Generator, picture: bytes, base: str, token: str | None) -> bytes:
    kinds = [
        "multipart/form-data; boundary=b",
        "multipart/form-data",
        "multipart/form-data; boundary=" + "b" * 500,
        "text/html",
        "image/jpeg",
        "application/json; charset=utf-7",
        "multipart/form-data; charset=no; boundary=b",
        "",
    ]
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="picture"; filename="p"\r\n\r\n' + picture[:3000] + b"\r\n",
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n",
        b"--b\r\n\r\n",
        b"--b--\r\n",
        b"\r\n",
        b"--c\r\n",
        b'--b\r\nContent-Disposition: form-data; name="\xff"; filename="../../etc/passwd"\r\n\r\nx\r\n',
    ]
    body = b"".join(bytes(_pick(random, parts)) for _ in range(int(random.integers(8))))  # type: ignore[arg-type]
    whole = _request("POST", f"{base}/identify", body, token, str(_pick(random, kinds)))
    return whole[: len(whole) - int(random.integers(2) * random.integers(1, 50))]


def _of_pictures(random: np.random.Generator, picture: bytes, base: str, token: str | None) -> bytes:
    data = bytearray(picture)
    match int(random.integers(4)):
        case 0:
            data = data[: int(random.integers(len(data)))]
        case 1:
            heads = [
                b"\x89PNG\r\n\x1a\n",
                b"\xff\xd8\xff",
                b"GIF89a",
                b"RIFF____WEBP",
                b"II*\0",
                b"BM",
                b"\0\0\0 ftypheic",
                b"<svg",
                b"%PDF",
                b"P6 99999 99999 255\n",
                b"MZ",
                b"#!/bin/sh\n",
            ]
            rest = random.integers(256, size=int(random.integers(400)), dtype=np.uint8).tobytes()
            data = bytearray(bytes(_pick(random, heads)) + rest)  # type: ignore[arg-type]
        case _:
            for at in random.integers(len(data), size=int(random.integers(1, 40))):
                data[at] = int(random.integers(256))
    paths = [
        ("POST", "identify"),
        ("POST", "verify/person1"),
        ("PUT", "identities/mallory/templates/m"),
        ("POST", "identify?look=1"),
    ]
    method, path = paths[int(random.integers(len(paths)))]
    return _request(method, f"{base}/{path}", bytes(data), token)


def _of_json(random: np.random.Generator, picture: bytes, base: str, token: str | None) -> bytes:  # noqa: ARG001 - as all kinds
    vector = random.normal(size=128).tolist()
    said: list[object] = [
        {"vectors": [vector[:5]]},
        {"vectors": [[]]},
        {"vectors": []},
        {"vectors": [vector, vector[:3]]},
        {"vectors": "x"},
        [],
        3,
        {"vectors": [[0] * 128]},
        {"vectors": [[True] * 128]},
        {"vectors": [["1"] * 128]},
        {"vectors": {"0": 1}},
        None,
        {"vectors": [[10**400] * 128]},
        {"vectors": [[1e308] * 128]},
        {"vectors": [[vector]]},
        {"identity": "x" * 5000},
        {"identity": "a\nb"},
        {"identity": ""},
        {"identity": 5, "merge": "x"},
        {"vectors": [[1e-320] * 128]},
    ]
    bodies: list[bytes] = [
        *(json.dumps(each).encode() for each in said),
        b'{"vectors": [[NaN]]}',
        b'{"vectors": [[' + b"Infinity," * 127 + b"1]]}",
        b"[" * 100_000,
        b'{"a":' * 5000,
        b"{",
        b"\xff\xfe",
        b'{"vectors": [[1' + b"0" * 5000 + b"]]}",
        b'"\\ud800"',
        b'{"identity": "\\ud800"}',
    ]
    paths = [("POST", "identify"), ("PUT", "identities/mallory/templates/m"), ("PATCH", "identities/person2")]
    method, path = paths[int(random.integers(len(paths)))]
    return _request(method, f"{base}/{path}", bytes(_pick(random, bodies)), token, "application/json")  # type: ignore[arg-type]


def _of_tokens(random: np.random.Generator, picture: bytes, base: str, token: str | None) -> bytes:
    odd = ["", "x", "onek_", "onek_000000000000_" + "A" * 43, "A" * 8000, "\xff" * 20, "' OR 1=1 --", "../../tokens.toml"]
    if token is not None:
        odd += [token[:-1], token + "A", token.upper(), token.replace("onek", "onec")]
    return _request("POST", f"{base}/identify", picture[:100], str(_pick(random, odd)))


def _of_paths(random: np.random.Generator, picture: bytes, base: str, token: str | None) -> bytes:
    odd = [
        "/",
        "//",
        "/v1",
        "/v1/..",
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/v1/galleries/%00",
        "/v1/galleries/..",
        f"{base}/identities/%ff",
        f"{base}/identities/{'a' * 5000}",
        f"{base}/identities/a%0ab",
        f"{base}/identities/%ED%A0%80",
        f"{base}/identities/",
        f"{base}/identities?limit=-1",
        f"{base}/identities?limit=1e9",
        f"{base}/identities?cursor=%F0%9F",
        f"{base}/identify?fpir=nan",
        f"{base}/identify?fpir=1e-300",
        f"{base}/identify?threshold=inf",
        f"{base}/identify?top=99999",
        f"{base}/thresholds?fpir=nan",
        f"{base}/thresholds?fpir=0",
        f"{base}/thresholds?fpir=2",
        f"{base}/events?cursor=AAAA",
        f"{base}/identities/person1/templates/" + "a" * 300,
        f"{base}/verify/",
        f"{base}/verify/{quote('Ünï/ cödé')}",
        f"{base}/verify/person1?threshold=nan",
        f"{base}/verify/person1?fmr=1e-300",
        "/v1/openapi.json?x=" + "y" * 3000,
        "/style.css/../tokens.toml",
        "/page/__init__.py",
        "/healthz/",
        "/metrics?name[]=%00",
        f"{base}/challenges/answer?challenge=A",
        "*",
        "http://elsewhere.example/",
        f"{base}/identities/nobody/erase",
        f"{base}/identities/a/templates/b/templates/c",
    ]
    methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW"]
    return _request(str(_pick(random, methods)), str(_pick(random, odd)), picture[: int(random.integers(300))], token)
