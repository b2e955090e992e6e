"""Memory that stays flat, commands that start at once, calls that load nothing anew: each measured in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from engine.errors import OnekError

# Linux counts ru_maxrss in KiB, macOS in bytes.
_MEASURE = """
import json, resource, sys
from pathlib import Path
from engine.common.allocator import give_large_blocks_back
from engine.embedding.embedder import Embedder
from engine.encoders import load_encoder
from engine.workflows.embed_files import embed_to_file
from engine.embedding.photographs import Photograph
count, out, *files = json.load(sys.stdin)
give_large_blocks_back()  # as commands do
photographs = [Photograph(f"{i}", Path(files[i % len(files)]), None) for i in range(count)]
embed_to_file(photographs, Embedder(load_encoder(photographs=count)), Path(out), overwrite=True)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak / 1024 if sys.platform == "linux" else peak / 1024**2)
"""

# Photographs against a gallery, one a call: seconds of each call, and the peak so far in MiB after each.
_CALLS = """
import json, resource, sys, time
from engine import Gallery
folder, count, *files = json.load(sys.stdin)
gallery = Gallery.open(folder)
seconds, peaks = [], []
for i in range(count):
    start = time.perf_counter()
    gallery.identify([files[i % len(files)]])
    seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peaks.append(peak / 1024 if sys.platform == "linux" else peak / 1024**2)
print(json.dumps([seconds, peaks]))
"""
# People in the gallery that commands are started on.
_PEOPLE = 60


@dataclass(frozen=True)
class Peak:
    """Peak resident memory of one embedding run, in MiB."""

    images: int
    mebibytes: float


@dataclass(frozen=True)
class Start:
    """Seconds of a fresh process, the median of several; `cpu` of both kinds of processor time; `bare`: as `seconds`, of
    `python -c pass`.
    """

    command: str
    seconds: float
    cpu: float
    bare: float


@dataclass(frozen=True)
class Calls:
    """`Gallery.identify` of one photograph a call: seconds of the first and the median of the others, and the peak memory in
    MiB; `growth`: that after `count` calls over that after a tenth of them.
    """

    count: int
    first: float
    median: float
    mebibytes: float
    growth: float


def embed_memory(files: list[Path], counts: list[int], out: Path, progress: Callable[[int], None] | None = None) -> list[Peak]:
    """Peak memory of embedding so many images (the files, over and over), each count in a process of its own."""
    peaks = []
    for count in counts:
        job = json.dumps([count, str(out), *map(str, files)])
        done = subprocess.run([sys.executable, "-c", _MEASURE], input=job, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OnekError(f"embedding {count} images failed: {done.stderr.strip()[-500:]}")
        peaks.append(Peak(count, float(done.stdout.splitlines()[-1])))
        if progress:
            progress(1)
    return peaks


def starts(rounds: int = 7) -> list[Start]:
    """How long `import engine` and commands take, on a gallery of 60 drawn people, beside a bare Python, in turns.

    All modules are compiled before, as installing them does.
    """
    onek = str(Path(sys.executable).with_name("onek"))
    times: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        probe, gallery = drawn_gallery(Path(folder))
        commands = {
            "bare": [sys.executable, "-c", "pass"],
            "import engine": [sys.executable, "-c", "import engine"],
            "onek --help": [onek, "--help"],
            "onek info GALLERY": [onek, "info", gallery],
            "onek list GALLERY": [onek, "list", gallery],
            "onek identify ONE.jpg": [onek, "identify", probe, "-g", gallery, "-o", str(Path(folder, "r.csv")), "--overwrite"],
        }
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(Path(folder, "compiled"))}
        for command in commands.values():
            _timed(command, compiled)
        for _ in range(rounds):
            for name, command in commands.items():
                times.setdefault(name, []).append(_timed(command, compiled))
    bare = median(wall for wall, _ in times.pop("bare"))
    return [Start(name, median(wall for wall, _ in seen), median(cpu for _, cpu in seen), bare) for name, seen in times.items()]


def drawn_gallery(folder: Path) -> tuple[str, str]:
    """A photograph and a gallery of drawn people in a folder."""
    from benchmarks.data.drawn_people import Shot, draw_files
    from engine.embedding.in_memory import embed_images
    from engine.gallery.gallery import Gallery

    probe = folder / "one.jpg"
    draw_files([Shot(probe, 3, 1), *(Shot(folder / "people" / f"{seed}.jpg", seed, 0) for seed in range(_PEOPLE))], nuisance=0.6)
    Gallery.build(embed_images(folder / "people").templates, folder / "gallery")
    return str(probe), str(folder / "gallery")


def calls(count: int = 1000) -> Calls:
    """Identify drawn photographs one by one, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        probe, gallery = drawn_gallery(Path(folder))
        job = json.dumps([gallery, count, probe, *map(str, sorted(Path(folder, "people").iterdir()))])
        done = subprocess.run([sys.executable, "-c", _CALLS], input=job, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OnekError(f"identifying {count} photographs failed: {done.stderr.strip()[-500:]}")
    seconds, peaks = json.loads(done.stdout.splitlines()[-1])
    return Calls(count, seconds[0], median(seconds[1:]), peaks[-1], peaks[-1] / peaks[count // 10])


def _timed(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds of wall and of processor that a process takes."""
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, capture_output=True, check=True, env=os.environ | environment)
    wall, after = time.perf_counter() - start, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system
