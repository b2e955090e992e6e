"""What a service answers in a second, beside the library in one process; how long one client waits; whether both say the same."""

import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from threading import Thread

import cv2
import numpy as np

from benchmarks.service.running import Line, Running, untold
from engine.errors import ServiceError
from engine.gallery.gallery import Gallery

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Beside:
    """How many a second the service and the library did; medians of the rounds, and the `ratio` also in single ones."""

    service: float
    library: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Waited:
    """Milliseconds that one client waited for an answer."""

    p50: float
    p99: float
    requests: int


def pictures_beside(
    gallery: Path, files: Sequence[Path], *, clients: int = 16, rounds: int = 5, progress: Progress = untold
) -> Beside:
    """Pictures a second: `clients` that send one after another, against `Gallery.identify` of the same files in this process; the
    same runtime runs the encoder in both.
    """
    opened = Gallery.open(gallery)
    opened.identify(list(files), faces="largest")
    runtime = runtime_of(opened.embedder("largest", photographs=len(files)).provenance.runtime or "")
    bodies = [file.read_bytes() for file in files]
    with Running(gallery, "--rate", 0, "--runtime", runtime) as service:
        path = "identify?faces=largest"
        _sent(service.port, gallery.name, path, bodies[:32], clients, "application/octet-stream")

        def library() -> float:
            return _seconds(lambda: opened.identify(list(files), faces="largest"))

        def asked() -> float:
            return _sent(service.port, gallery.name, path, bodies, clients, "application/octet-stream")

        return _beside(asked, library, len(files), rounds, progress)


def vectors_beside(
    gallery: Path,
    vectors: np.ndarray,
    *,
    each: int = 64,
    clients: int = 4,
    rounds: int = 5,
    progress: Progress = untold,
) -> Beside:
    """Vectors a second in requests of `each`, against the library on the same parts."""
    opened = Gallery.open(gallery)
    parts = [vectors[start : start + each] for start in range(0, len(vectors), each)]
    opened.identify(parts[0], threshold=0.5)
    bodies = [json.dumps({"vectors": part.tolist()}).encode() for part in parts]
    with Running(gallery, "--rate", 0) as service:
        path = "identify?threshold=0.5"
        _sent(service.port, gallery.name, path, bodies[:2], clients, "application/json")

        def library() -> float:
            return _seconds(lambda: [opened.identify(part, threshold=0.5) for part in parts])

        def asked() -> float:
            return _sent(service.port, gallery.name, path, bodies, clients, "application/json")

        return _beside(asked, library, len(vectors), rounds, progress)


def one_client(gallery: Path, picture: np.ndarray, requests: int = 500, faces: str = "all") -> Waited:
    """How long one client waits for the answer to one picture of 640x480, sent again and again.

    `picture` is RGB, uint8 (height, width, 3); it is shown in the middle of the 640x480.
    """
    frame = np.full((480, 640, 3), 110, np.uint8)
    scale = 400 / max(picture.shape[:2])
    shown = cv2.resize(picture, None, fx=scale, fy=scale)
    frame[40 : 40 + shown.shape[0], 120 : 120 + shown.shape[1]] = shown
    body = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
    with Running(gallery, "--rate", 0) as service:
        line = Line(service.port, gallery.name)
        waited = []
        for number in range(requests + 10):
            start = time.perf_counter()
            status, _ = line.ask("POST", f"identify?faces={faces}", body)
            if status != 200:
                raise ServiceError(f"the service answered {status}")
            if number >= 10:
                waited.append(1000 * (time.perf_counter() - start))
        line.close()
    return Waited(float(np.percentile(waited, 50)), float(np.percentile(waited, 99)), requests)


def differing(gallery: Path, files: Sequence[Path]) -> int:
    """How many of the answers to files differ in anything from those of `Gallery.identify`, which `onek identify` writes down."""
    opened = Gallery.open(gallery)
    different = 0
    with Running(gallery, "--rate", 0) as service:
        line = Line(service.port, gallery.name)
        for file in files:
            _, said = line.ask("POST", "identify?faces=all", file.read_bytes())
            ours = list(opened.identify([file], faces="all"))
            rows = said["results"]
            names = (
                "face",
                "decision",
                "identity",
                "distance",
                "score",
                "threshold",
                "expected_false_alarms",
                "quality",
                "reasons",
            )
            same = len(rows) == len(ours) and all(
                [row[name] for name in names] == [getattr(result, name) for name in names]
                and [each["template_id"] for each in row["candidates"]] == [each.template_id for each in result.candidates]
                for row, result in zip(rows, ours, strict=True)
            )
            different += not same
        line.close()
    return different


def runtime_of(about: str) -> str:
    """What `--runtime` calls what ran an encoder."""
    if "OpenVINO" not in about:
        return "opencv"
    return "openvino-half" if "bfloat16" in about else "openvino"


def _beside(service: Callable[[], float], library: Callable[[], float], count: int, rounds: int, progress: Progress) -> Beside:
    """Both in turn, so that a slow moment of the machine meets both."""
    seconds = []
    for _ in range(rounds):
        seconds.append((service(), library()))
        progress(1)
    ratios = [theirs / ours for ours, theirs in seconds]
    ours, theirs = (median(count / each for each in column) for column in zip(*seconds, strict=True))
    return Beside(ours, theirs, median(ratios), min(ratios), max(ratios))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _sent(port: int, gallery: str, path: str, bodies: list[bytes], clients: int, kind: str) -> float:
    """Seconds until so many clients, of a process of their own, have the answers to all bodies.

    Raises:
        ServiceError: an answer was none.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_clients, args=(theirs, port, gallery, path, bodies, clients, kind))
    process.start()
    seconds, failed = ours.recv()
    process.join()
    if failed:
        raise ServiceError(f"{failed} of {len(bodies)} requests were not answered")
    return float(seconds)


def _clients(told: Connection, port: int, gallery: str, path: str, bodies: list[bytes], clients: int, kind: str) -> None:
    failed = 0

    def send(mine: list[bytes], line: Line) -> None:
        nonlocal failed
        for body in mine:
            status, _ = line.ask("POST", path, body, kind)
            failed += status != 200

    lines = [Line(port, gallery) for _ in range(clients)]
    threads = [Thread(target=send, args=(bodies[n::clients], line)) for n, line in enumerate(lines)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.send((time.perf_counter() - start, failed))
