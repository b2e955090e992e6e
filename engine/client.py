"""A client for a service that `onek serve` runs, with the methods of a gallery."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import numpy as np

from engine import errors
from engine.answers.results import Candidate
from engine.answers.verification import Verification
from engine.errors import GalleryError, OnekError, PhotographsError, ServiceError

# Times that a request is sent which may be sent again, and seconds before the second time; twice as many before each further one.
_TRIES, _PAUSE = 5, 0.2
# With these statuses the service refused a request without beginning it.
_LATER = (429, 503)

Picture = bytes | str | Path
Pictures = Picture | Sequence[Picture]


@dataclass(frozen=True)
class Answer:
    """What was decided of one face, or of one vector: as `engine.Result`, with where the face is.

    `box` is x, y, width, height in pixels; `detection` the detector's confidence; `refused_by` is `challenge` or `pad` where the
    decision is `refused`.
    """

    probe: str
    face: int | None
    box: tuple[float, float, float, float] | None
    detection: float | None
    quality: float | None
    reasons: str | None
    decision: str
    identity: str | None
    distance: float | None
    score: float | None
    threshold: float
    expected_false_alarms: float | None
    candidates: tuple[Candidate, ...]
    refused_by: str | None


@dataclass(frozen=True)
class Enrolment:
    """What an enrolment did. `created` is false where the very same template was there already, or took another's place, which
    `replaced` says. `matches`: whom else the gallery takes the face for, and the scores.
    """

    identity: str
    template_id: str
    created: bool
    replaced: bool
    quality: float | None
    matches: tuple[tuple[str, float], ...]
    templates: int


@dataclass(frozen=True)
class Receipt:
    """That somebody was erased: so many templates, events and pictures; that no byte of a template is left was `verified`."""

    gallery: str
    identity: str
    templates: int
    template_ids: tuple[str, ...]
    events: int
    pictures: int
    erased_at: str
    verified: bool


class Client:
    """A gallery of a service. Any number of threads may use one client.

    Requests that change nothing, or that may safely come twice (an enrolment under an id), are sent again where the service is
    busy or the connection broke; others only where the service says that it did not begin.
    """

    def __init__(
        self, url: str, token: str | None = None, *, gallery: str | None = None, timeout: float = 60, verify: bool | str = True
    ) -> None:
        """Connect when first asked.

        Args:
            url: of the service, such as https://door.example:8000.
            token: what `onek token add` printed.
            gallery: what it is called; by default the only one.
            timeout: seconds to wait for an answer.
            verify: whether the service's certificate is checked, or a file of certificates to check it by.
        """
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        # The environment's proxies are not used: pictures go directly to where the caller said.
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, verify=_certificates(verify), trust_env=False)
        self._url, self._gallery = url, gallery

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def galleries(self) -> list[str]:
        """The names of the service's galleries."""
        return [each["name"] for each in self._asked("GET", "/v1/galleries")["galleries"]]

    @property
    def gallery(self) -> str:
        """What the gallery is called.

        Raises:
            GalleryError: none was named, and the service has several.
        """
        if self._gallery is None:
            names = self.galleries()
            if len(names) != 1:
                raise GalleryError(f"{self._url} has the galleries {', '.join(names)}; name one: Client(..., gallery=...)")
            self._gallery = names[0]
        return self._gallery

    def identify(
        self,
        probes: Pictures | np.ndarray,
        *,
        fpir: float | None = None,
        threshold: float | None = None,
        top: int = 5,
        faces: str | None = None,
        look: bool = False,
    ) -> list[Answer]:
        """Say of each face, or vector (n, dim), who it is, or that it is nobody enrolled.

        Args:
            probes: pictures as bytes or paths of files, or vectors.
            fpir: the share of strangers' searches that may get a name; by default 0.01.
            threshold: the largest score that is accepted, instead.
            top: how many candidates to return.
            faces: `all`, which is the default, `largest` or `none`.
            look: only look, before an enrolment: nothing is counted or kept. Takes the role desk.

        Raises:
            ServiceError: the service does not answer, or refuses.
            OnekError: as `Gallery.identify`.
        """
        asked = {"fpir": fpir, "threshold": threshold, "top": top, "faces": faces, "look": look or None}
        sent = _vectors(probes) if isinstance(probes, np.ndarray) else _pictures(probes)
        said = self._asked("POST", self._path("identify"), params=asked, again=True, **sent)
        return [_answer(row) for row in said["results"]]

    def verify(self, probe: Picture, identity: str, *, fmr: float | None = None, threshold: float | None = None) -> Verification:
        """Compare the largest face of one picture with one enrolled identity.

        Raises:
            ServiceError: nobody of that name is enrolled, the picture shows no face, or as `identify`.
        """
        asked = {"fmr": fmr, "threshold": threshold}
        said = self._asked("POST", self._path("verify", identity), params=asked, again=True, **_pictures(probe))
        return Verification("picture:0", said["identity"], said["same"], said["distance"], said["threshold"], said["template_id"])

    def enroll(
        self, probe: Picture | np.ndarray, identity: str, *, template_id: str | None = None, on_match: str = "warn"
    ) -> Enrolment:
        """Enrol one picture, or one vector (dim,): durable when it returns. Where the line is cut, it is sent once more.

        Args:
            probe: what shows the person.
            identity: who that is.
            template_id: what the template is called; by default a new name.
            on_match: as of `Gallery.enroll`.

        Raises:
            ServiceError: the picture shows no face or several, the id is somebody else's, or as `identify`.
        """
        sent = _vectors(probe[None]) if isinstance(probe, np.ndarray) else _pictures(probe)
        path = self._path("identities", identity, "templates", template_id or uuid4().hex)
        said = self._asked("PUT", path, params={"on_match": on_match}, again=True, **sent)
        matches = tuple((match["identity"], match["score"]) for match in said.pop("matches"))
        return Enrolment(matches=matches, **said)

    def identities(self, search: str = "") -> Iterator[tuple[str, int]]:
        """Everybody who is enrolled, in the order of their names, and how many templates each has; `search`: a part of a name."""
        cursor = None
        while True:
            asked = {"search": search or None, "limit": 1000, "cursor": cursor}
            page = self._asked("GET", self._path("identities"), params=asked)
            yield from ((each["identity"], each["templates"]) for each in page["identities"])
            if (cursor := page["next"]) is None:
                return

    def template_ids(self, identity: str) -> list[str]:
        """The ids of somebody's templates."""
        return list(self._asked("GET", self._path("identities", identity))["template_ids"])

    def rename(self, old: str, new: str, *, merge: bool = False) -> int:
        """Rename an identity; how many templates it has."""
        said = self._asked("PATCH", self._path("identities", old), json={"identity": new, "merge": merge})
        return int(said["templates"])

    def remove(self, identity: str) -> int:
        """Remove an identity: no search returns it from then on. How many templates that were."""
        return int(self._asked("DELETE", self._path("identities", identity))["templates"])

    def erase(self, identity: str) -> Receipt:
        """Remove an identity, and erase its bytes from every file of the gallery. Takes the role admin, and time."""
        said = self._asked("POST", self._path("identities", identity, "erase"), timeout=3600)
        return Receipt(**{**said, "template_ids": tuple(said["template_ids"])})

    def info(self) -> dict[str, Any]:
        """What the gallery holds, as `onek info --json` says it."""
        return dict(self._asked("GET", self._path())["info"])

    def threshold(self, fpir: float = 0.01) -> float:
        """The threshold of a false-alarm rate.

        Raises:
            GalleryError: the gallery does not support the rate.
        """
        (rate,) = self._asked("GET", self._path("thresholds"), params={"fpir": fpir})["rates"]
        if rate["threshold"] is None:
            raise GalleryError(rate["problem"])
        return float(rate["threshold"]["score"])

    def check(self) -> list[str]:
        """Everything that is wrong with the gallery. Takes the role admin."""
        return [fault["says"] for fault in self._asked("POST", self._path("check"), again=True, timeout=3600)["faults"]]

    def events(self) -> Iterator[dict[str, Any]]:
        """What happened, the newest first."""
        cursor = None
        while True:
            page = self._asked("GET", self._path("events"), params={"limit": 1000, "cursor": cursor})
            yield from page["events"]
            if (cursor := page["next"]) is None:
                return

    def _path(self, *parts: str) -> str:
        return "/".join(["/v1/galleries", *(quote(part, safe="") for part in (self.gallery, *parts))])

    def _asked(
        self, method: str, path: str, *, params: dict[str, Any] | None = None, again: bool = False, **sent: Any
    ) -> dict[str, Any]:
        """What is answered. `again`: whether it may be sent a second time, though it may have been done."""
        given = {name: value for name, value in (params or {}).items() if value is not None}
        again = again or method == "GET"
        for left in reversed(range(_TRIES)):
            try:
                answer = self._http.request(method, path, params=given, **sent)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:  # nothing was sent
                problem: Exception = error
            except httpx.TransportError as error:
                if not again:
                    raise _unreachable(self._url, error) from error
                problem = error
            else:
                if answer.is_success:
                    said: dict[str, Any] = answer.json()
                    return said
                problem = _error(answer)
                if answer.status_code not in _LATER:
                    raise problem
            if not left:
                raise problem if isinstance(problem, OnekError) else _unreachable(self._url, problem) from problem
            time.sleep(_PAUSE * 2 ** (_TRIES - 1 - left) * random.uniform(0.5, 1))  # noqa: S311 - so that not all come at once
        raise AssertionError


def _pictures(pictures: Pictures) -> dict[str, Any]:
    """A request's body, of pictures."""
    single = isinstance(pictures, bytes | str | Path)
    given: Sequence[Any] = [pictures] if single else pictures  # type: ignore[assignment]
    if not given:
        raise PhotographsError("no pictures were given")
    files = [picture if isinstance(picture, bytes) else _read(Path(picture)) for picture in given]
    if single:
        return {"content": files[0], "headers": {"Content-Type": "application/octet-stream"}}
    return {"files": [("picture", (f"{number}", data, "application/octet-stream")) for number, data in enumerate(files)]}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PhotographsError(f"{path}: {error.strerror or error}") from error


def _vectors(vectors: np.ndarray) -> dict[str, Any]:
    return {"json": {"vectors": np.asarray(vectors, np.float64).tolist()}}


def _answer(row: dict[str, Any]) -> Answer:
    box = row["box"] and tuple(row["box"][side] for side in ("x", "y", "width", "height"))
    return Answer(**{**row, "box": box, "candidates": tuple(Candidate(**each) for each in row["candidates"])})


def _error(answer: httpx.Response) -> OnekError:
    """The library's error that the service names, else a `ServiceError` with the service's message."""
    try:
        said = answer.json()["error"]
        code, message, request_id = str(said["code"]), str(said["message"]), str(said["request_id"])
    except (ValueError, KeyError, TypeError):
        return ServiceError(f"the service answered {answer.status_code}", "unknown", answer.status_code)
    name = "".join(part.title() for part in code.split("_"))
    kind = getattr(errors, name, None) if name in errors.__all__ else None
    if isinstance(kind, type) and issubclass(kind, OnekError) and kind not in (ServiceError, OnekError):
        return kind(message)
    return ServiceError(message, code, answer.status_code, request_id)


def _unreachable(url: str, error: Exception) -> ServiceError:
    return ServiceError(f"{url} does not answer: {error or type(error).__name__}")


def _certificates(verify: bool | str) -> Any:
    if isinstance(verify, str):
        import ssl

        return ssl.create_default_context(cafile=verify)
    return verify
