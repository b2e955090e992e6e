"""How fast the encoder is, and the way from files to templates, as ratios to a peer in the same run."""

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.peers.environment import KINDS, peer_python, running
from engine.common.concurrency import batched, map_ahead
from engine.common.opencv import one_thread_each
from engine.embedding.embedder import Embedder
from engine.embedding.photographs import Photograph
from engine.encoders import load_encoder
from engine.faces.alignment import aligner, largest_face
from engine.faces.images import decode

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Ratio:
    """Medians over interleaved rounds, per second, and their ratio; `low` and `high` are those of single rounds."""

    peer: str
    ours: float
    theirs: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Stages:
    """Milliseconds of one thread for a photograph: decoding it, finding and aligning its face, encoding the chip."""

    decoding: float
    detecting: float
    encoding: float


@dataclass(frozen=True)
class FilesRatio:
    """`missed` are files in which the peer found a face and we did not; `theirs_missed` the other way round. `runtime` ran the
    encoder.
    """

    rate: Ratio
    runtime: str
    stages: Stages
    files: int
    missed: tuple[str, ...]
    theirs_missed: tuple[str, ...]


def chips_of(files: Sequence[Path], encoder: str) -> np.ndarray:
    """Aligned chips of the largest faces, uint8 (n, size, size, 3)."""
    chip = load_encoder(encoder).chip

    def cut(part: Sequence[Path]) -> list[np.ndarray]:
        return [faces[0].chip for faces in (largest_face(decode(path), chip) for path in part) if faces]

    return np.stack([crop for crops in map_ahead(cut, batched(files, 32)) for crop in crops])


def encoder_against_dlib(
    files: Sequence[Path], kind: str, *, rounds: int = 7, python: Path | None = None, progress: Progress | None = None
) -> Ratio:
    """`dlib-resnet` without mirror average against dlib's own code, both in batches of 32 of the same crops in memory.

    Args:
        files: photographs to take the crops from.
        kind: `dlib-wheel` or `dlib-built`.
        rounds: how often each is measured, in turns.
        python: the Python of an environment that holds the peer already.
        progress: told of each round.
    """
    chips = chips_of(files, "dlib-resnet")
    chips = chips[: len(chips) // 32 * 32]
    encoder = load_encoder("dlib-resnet", flip=False)
    encoder.encode(chips[:32])

    def ours() -> float:
        start = time.perf_counter()
        for _ in map_ahead(lambda first: encoder.encode(chips[first : first + 32]), range(0, len(chips), 32)):
            pass
        return len(chips) / (time.perf_counter() - start)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chips.npy")
        np.save(path, chips)
        with running(python or peer_python(KINDS[kind]), "dlib_encoder.py", str(path)) as peer:
            name = f"dlib {peer.about['version']}, {'with' if peer.about['blas'] else 'without'} BLAS"
            pairs = []
            for _ in range(rounds):
                pairs.append((ours(), float(peer.ask())))
                if progress:
                    progress(1)
    return _ratio(name, pairs)


def files_against_face_recognition(
    files: Sequence[Path],
    kind: str,
    *,
    flip: bool | None = None,
    runtime: str | None = None,
    rounds: int = 5,
    python: Path | None = None,
    progress: Progress | None = None,
) -> FilesRatio:
    """Photographs to templates against `face_recognition.face_encodings` as it comes, on the same files, in turns."""
    embedder = Embedder(load_encoder(flip=flip, runtime=runtime, photographs=len(files)))
    photographs = [Photograph(str(path), path, None) for path in files]
    list(embedder.stream(photographs[:64]))
    found, theirs_found, pairs = set(), set(), []
    with running(python or peer_python(KINDS[kind]), "face_recognition_files.py") as peer:
        blas = "with" if peer.about["blas"] else "without"
        name = f"face_recognition {peer.about['version']} on dlib {peer.about['dlib']}, {blas} BLAS"
        for part in batched(photographs, -(-len(photographs) // rounds)):
            start = time.perf_counter()
            outcomes = list(embedder.stream(part))
            ours = len(part) / (time.perf_counter() - start)
            answer = peer.ask(json.dumps([photograph.source for photograph in part]))
            found |= {outcome.photograph.source for outcome in outcomes if outcome.problem is None}
            theirs_found |= set(answer["found"])
            pairs.append((ours, len(part) / answer["seconds"]))
            if progress:
                progress(1)
    return FilesRatio(
        _ratio(name, pairs),
        embedder.encoder.runtime or "",
        stages(files[:100], embedder),
        len(files),
        tuple(sorted(theirs_found - found)),
        tuple(sorted(found - theirs_found)),
    )


def stages(files: Sequence[Path], embedder: Embedder) -> Stages:
    """What of the work on photographs each stage takes, one after the other."""
    chip, align = embedder.encoder.chip, aligner(embedder.faces)
    with one_thread_each:
        clock = [time.process_time()]
        pictures = [decode(path) for path in files]
        clock.append(time.process_time())
        chips = [aligned.chip for picture in pictures for aligned in align(picture, chip)]
        clock.append(time.process_time())
        for first in range(0, len(chips), 32):
            embedder.encoder.encode(np.stack(chips[first : first + 32]))
        clock.append(time.process_time())
    return Stages(*(1000 * float(spent) / len(files) for spent in np.diff(clock)))


def _ratio(name: str, pairs: list[tuple[float, float]]) -> Ratio:
    ratios = [ours / theirs for ours, theirs in pairs]
    ours, theirs = median(ours for ours, _ in pairs), median(theirs for _, theirs in pairs)
    return Ratio(name, ours, theirs, ours / theirs, min(ratios), max(ratios))
