"""What a service was told when it was started: the same for each of its processes."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from engine.common.dataclass_json import from_plain

STILL_PICTURES = (
    "A photograph of a person, held up to the camera, is taken for the person: this service recognises faces and does not test "
    "whether they live."
)
DETECTOR_LIMITS = (
    "A photograph of a person, held up to the camera, is taken for the person unless the detector of presentation attacks "
    "refuses it that this service was started with: whoever chose it knows what it lets through."
)
CHALLENGE_LIMITS = (
    "The challenge (look left, look right, in an order that the service chooses) stops a flat still picture; it does not stop "
    "one that is bent round a tube, several photographs of the person who looks both ways, a film of it (of which half have the "
    "order right), a face that a computer moves, or a mask."
)


@dataclass(frozen=True)
class Settings:
    """What a service was told.

    `galleries`: a folder, a folder of such folders, or the address of one elsewhere, separated by line ends. `tokens`: the file
    of tokens, None where nobody is asked for one. `keep`: the folder for pictures, of which each is kept for `keep_days`.
    `events_days`: how long events are kept, 0 for not at all. `challenge` is `turn` or None; `pad` is `package.module:function`.

    Limits: `body` bytes of a request; `megapixels` of a picture; `faces` of a picture; `pictures` and `vectors` of a request;
    `rate` requests a second of one token or address, 0 for any; `seconds` until a request is given up; `connections` at once;
    `waiting` pictures or searches before more are refused. `longest_wait`: seconds that a request waits for others to share its
    batch. `secret` signs cursors and challenges of all processes; `state` is a folder that they share.
    """

    galleries: str
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    tokens: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    allowed_hosts: str = ""
    encoder: str | None = None
    weights: str | None = None
    projection: str | None = None
    runtime: str | None = None
    keep: str | None = None
    keep_days: int = 0
    events_days: int = 0
    challenge: str | None = None
    pad: str | None = None
    log_names: bool = False
    body: int = 20 << 20
    megapixels: float = 25.0
    faces: int = 50
    pictures: int = 16
    vectors: int = 1024
    rate: float = 100.0
    seconds: float = 30.0
    connections: int = 512
    waiting: int = 256
    longest_wait: float = 0.004
    secret: str = ""
    state: str = ""

    def to_json(self) -> str:
        """As a text, for other processes."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        """Out of what `to_json` made. Raises `ValueError` where it is something else."""
        return from_plain(cls, json.loads(text))

    @property
    def names(self) -> list[str]:
        """What was named as galleries."""
        return self.galleries.splitlines()

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in ("127.0.0.1", "::1", "localhost")

    @property
    def tests_liveness(self) -> bool:
        """Whether a face alone does not open the door."""
        return self.challenge is not None or self.pad is not None

    @property
    def warning(self) -> str:
        """What whoever trusts a door must know."""
        if self.challenge is not None:
            return CHALLENGE_LIMITS
        return STILL_PICTURES if self.pad is None else DETECTOR_LIMITS

    def public(self) -> dict[str, Any]:
        """What the page is told."""
        return {
            "challenge": self.challenge,
            "pad": self.pad is not None,
            "events_days": self.events_days,
            "keep_days": self.keep_days if self.keep else 0,
            "tokens": self.tokens is not None,
            "body": self.body,
            "warning": self.warning,
        }
