"""A gallery of a service that `onek serve` runs, with a gallery's methods."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, overload
from uuid import uuid4

import numpy as np

from engine.client.answers import Answer, Challenge, Enrolment, Receipt, Verified, answer_of, verified_of
from engine.client.connection import Connection, path_of
from engine.client.sent import Picture, Probes, picture_of, pictures_of, requests_of, vector_of
from engine.errors import GalleryError
from engine.templates.names import each_of

# Seconds of work that grows with the gallery.
_LONG = 3600.0


class Client:
    """A gallery of a service. Any number of threads may use one client.

    Requests that change nothing, or that may safely come twice (an enrolment under an id), are sent again where the service is
    busy or the connection broke; others only where the service says that it did not begin.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        gallery: str | None = None,
        timeout: float = 60,
        verify: bool | str | Path = True,
    ) -> None:
        """Connect when first asked.

        Args:
            url: of the service, such as https://door.example:8000.
            token: what `onek token add` printed.
            gallery: what it is called; by default the only one.
            timeout: seconds to wait for an answer.
            verify: whether the service's certificate is checked, or a file of certificates to check it by.

        Raises:
            ServiceError: the address or the token can be none, or the file of certificates cannot be read.
        """
        self._connection = Connection(url, token, timeout, verify)
        self._gallery = gallery
        self._body: int | None = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def galleries(self) -> list[str]:
        """The names of the service's galleries."""
        return [each["name"] for each in self._connection.ask("GET", "/v1/galleries")["galleries"]]

    @property
    def gallery(self) -> str:
        """What the gallery is called.

        Raises:
            GalleryError: none was named, and the service has several.
        """
        if self._gallery is None:
            names = self.galleries()
            if len(names) != 1:
                raise GalleryError(
                    f"{self._connection.url} has the galleries {', '.join(names)}; name one: Client(..., gallery=...)"
                )
            self._gallery = names[0]
        return self._gallery

    def identify(
        self,
        probes: Probes,
        *,
        fpir: float | None = None,
        threshold: float | None = None,
        top: int = 5,
        faces: str | None = None,
        look: bool = False,
    ) -> list[Answer]:
        """Say of each face, or vector, who it is, or that it is nobody enrolled: in the order given, in as many requests as the
        service's limits ask for.

        Args:
            probes: pictures as paths of files, bytes, or RGB arrays, uint8 (height, width, 3); or vectors (n, dim), a table of
                them, or templates. A path is called by itself in the answers, an array `image:0`, ..., bytes `picture:0`, ...,
                vectors `vectors:0`, ...
            fpir: the share of strangers' searches that may get a name; by default 0.01.
            threshold: the largest score that is accepted, instead.
            top: how many candidates to return.
            faces: `all`, which is the default, `largest` or `none`.
            look: only look, before an enrolment: nothing is counted or kept. Takes the role desk.

        Raises:
            ServiceError: the service does not answer, or refuses.
            OnekError: as `Gallery.identify`; of several requests those before it were answered, and changed nothing.
        """
        asked = {"fpir": fpir, "threshold": threshold, "top": top, "faces": faces, "look": look or None}
        answers: list[Answer] = []
        for sent in requests_of(probes, self._most):
            said = self._connection.ask("POST", f"{self._path()}/identify", params=asked, again=True, **sent.body)
            answers += (answer_of(row, sent.names[int(row["probe"].rpartition(":")[2])]) for row in said["results"])
        return answers

    def verify(self, probe: Picture, identity: str, *, fmr: float | None = None, threshold: float | None = None) -> Verified:
        """Compare the largest face of one picture with one enrolled identity.

        A door with a challenge refuses whoever has not turned their head: `refused_by` is `challenge` then. See `answer`.

        Raises:
            ServiceError: nobody of that name is enrolled, the picture shows no face, or as `identify`.
        """
        asked, sent = {"fmr": fmr, "threshold": threshold}, picture_of(probe)
        path = path_of(f"{self._path()}/verify", identity, "the identity")
        return verified_of(self._connection.ask("POST", path, params=asked, again=True, **sent.body), sent.names[0])

    def challenge(self) -> Challenge:
        """Be told where to look: good once, for some seconds.

        Raises:
            ServiceError: the service asks for none, or as `identify`.
        """
        said = self._connection.ask("POST", f"{self._path()}/challenges", again=True)
        return Challenge(**{**said, "turns": tuple(said["turns"])})

    @overload
    def answer(
        self, challenge: Challenge, pictures: Sequence[Picture], *, fpir: float | None = None, top: int | None = None
    ) -> Answer: ...

    @overload
    def answer(
        self, challenge: Challenge, pictures: Sequence[Picture], *, identity: str, fmr: float | None = None
    ) -> Verified: ...

    def answer(
        self,
        challenge: Challenge,
        pictures: Sequence[Picture],
        *,
        identity: str | None = None,
        fpir: float | None = None,
        top: int | None = None,
        fmr: float | None = None,
    ) -> Answer | Verified:
        """Say who is before the camera, or with `identity` whether it is them: refused unless the head was turned as asked.

        Args:
            challenge: what was asked for. It can be answered once.
            pictures: in the order taken, 3 to 16: the first from the front, the others while the head turns.
            identity: who it is said to be.
            fpir: the share of strangers' searches that may get a name; by default 0.01. Not with `identity`.
            top: how many candidates to return; by default 5. Not with `identity`.
            fmr: the share of pairs of two people that may be the same. With `identity` only.

        Raises:
            ServiceError: the challenge is over, or was answered; or as `identify`.
        """
        asked = {"challenge": challenge.challenge, "identity": identity, "fpir": fpir, "top": top, "fmr": fmr}
        sent = pictures_of(pictures)
        said = self._connection.ask("POST", f"{self._path()}/challenges/answer", params=asked, **sent.body)
        if identity is not None:
            return verified_of(said, sent.names[0])
        return answer_of(said["results"][0], sent.names[0])

    def enroll(
        self, probe: Picture | np.ndarray, identity: str, *, template_id: str | None = None, on_match: str = "warn"
    ) -> Enrolment:
        """Enrol one picture, or one vector (dim,): durable when it returns. Where the line is cut, it is sent once more.

        Args:
            probe: what shows the person: a picture, as of `identify`, or a vector (dim,) of floats.
            identity: who that is.
            template_id: what the template is called; by default a new name.
            on_match: as of `Gallery.enroll`.

        Raises:
            ServiceError: the picture shows no face or several, the id is somebody else's, or as `identify`.
            NameRefused: the identity or the id cannot be part of an address.
        """
        is_vector = isinstance(probe, np.ndarray) and probe.dtype != np.uint8
        sent = vector_of(probe) if is_vector else picture_of(probe)  # type: ignore[arg-type]
        path = self._template(identity, uuid4().hex if template_id is None else template_id)
        said = self._connection.ask("PUT", path, params={"on_match": on_match}, again=True, **sent.body)
        matches = tuple((match["identity"], match["score"]) for match in said.pop("matches"))
        return Enrolment(matches=matches, **said)

    def identities(self, search: str = "") -> Iterator[tuple[str, int]]:
        """Everybody who is enrolled, in the order of their names, and how many templates each has; `search`: a part of a name."""
        cursor = None
        while True:
            asked = {"search": search or None, "limit": 1000, "cursor": cursor}
            page = self._connection.ask("GET", f"{self._path()}/identities", params=asked)
            yield from ((each["identity"], each["templates"]) for each in page["identities"])
            if (cursor := page["next"]) is None:
                return

    def template_ids(self, identity: str) -> list[str]:
        """The ids of somebody's templates."""
        return list(self._connection.ask("GET", self._identity(identity))["template_ids"])

    def rename(self, old: str, new: str, *, merge: bool = False) -> int:
        """Rename an identity; how many templates it has."""
        said = self._connection.ask("PATCH", self._identity(old), json={"identity": new, "merge": merge})
        return int(said["templates"])

    def remove(self, identity: str, *, template_ids: str | Sequence[str] | None = None) -> int:
        """Remove an identity, or only those templates of it: no search returns them from then on. How many templates that were.

        Several ids are removed one after another: where one is not there, those before it are gone.

        Raises:
            ServiceError: nobody is called that, it has no such template, or as `identify`.
            GalleryError: nobody would be left.
        """
        if template_ids is None:
            return int(self._connection.ask("DELETE", self._identity(identity))["templates"])
        paths = [self._template(identity, each) for each in each_of(template_ids)]
        return sum(int(self._connection.ask("DELETE", path)["templates"]) for path in paths)

    def compact(self) -> int:
        """Erase whoever was removed from every file of the gallery, which is verified. How many templates that were. Takes the
        role admin, and time.
        """
        return int(self._connection.ask("POST", f"{self._path()}/compact", timeout=_LONG)["erased"])

    def erase(self, identity: str) -> Receipt:
        """Remove an identity, and erase its bytes from every file of the gallery. Takes the role admin, and time."""
        said = self._connection.ask("POST", f"{self._identity(identity)}/erase", timeout=_LONG)
        return Receipt(**{**said, "template_ids": tuple(said["template_ids"])})

    def info(self) -> dict[str, Any]:
        """What the gallery holds, as `onek info --json` says it."""
        return dict(self._connection.ask("GET", self._path())["info"])

    def threshold(self, fpir: float = 0.01) -> float:
        """The threshold of a false-alarm rate.

        Raises:
            GalleryError: the gallery does not support the rate.
        """
        (rate,) = self._connection.ask("GET", f"{self._path()}/thresholds", params={"fpir": fpir})["rates"]
        if rate["threshold"] is None:
            raise GalleryError(rate["problem"])
        return float(rate["threshold"]["score"])

    def check(self) -> list[str]:
        """Everything that is wrong with the gallery. Takes the role admin."""
        return [
            fault["says"] for fault in self._connection.ask("POST", f"{self._path()}/check", again=True, timeout=_LONG)["faults"]
        ]

    def events(self) -> Iterator[dict[str, Any]]:
        """What happened, the newest first."""
        cursor = None
        while True:
            page = self._connection.ask("GET", f"{self._path()}/events", params={"limit": 1000, "cursor": cursor})
            yield from page["events"]
            if (cursor := page["next"]) is None:
                return

    def _path(self) -> str:
        return path_of("/v1/galleries", self.gallery, "the gallery's name")

    def _identity(self, identity: str) -> str:
        return path_of(f"{self._path()}/identities", identity, "the identity")

    def _template(self, identity: str, template_id: str) -> str:
        return path_of(f"{self._identity(identity)}/templates", template_id, "the template's id")

    def _most(self) -> int:
        """Bytes of a request that the service takes."""
        if self._body is None:
            self._body = int(self._connection.ask("GET", "/v1/settings")["body"])
        return self._body
