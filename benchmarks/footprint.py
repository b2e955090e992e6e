"""Memory that stays flat, and commands that start at once: each measured in a process of its own."""

import json
import subprocess
import sys
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
from engine.embed import Embedder
from engine.encoders import load_encoder
from engine.journal import embed_to_file
from engine.labels import Photograph
count, out, *files = json.load(sys.stdin)
photographs = [Photograph(f"{i}", Path(files[i % len(files)]), None) for i in range(count)]
embed_to_file(photographs, Embedder(load_encoder()), Path(out), overwrite=True)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak / 1024 if sys.platform == "linux" else peak / 1024**2)
"""


@dataclass(frozen=True)
class Peak:
    """Peak resident memory of one embedding run, in MiB."""

    images: int
    mebibytes: float


@dataclass(frozen=True)
class Start:
    """Seconds of a fresh process, the median of several; `bare` is the same for `python -c pass`."""

    command: str
    seconds: float
    bare: float


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
    """How long `import engine` and `onek --help` take, beside a bare Python, in turns."""
    onek = str(Path(sys.executable).with_name("onek"))
    commands = {
        "import engine": [sys.executable, "-c", "import engine"],
        "onek --help": [onek, "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in ("bare", *commands)}
    for _ in range(rounds):
        for name, command in {"bare": [sys.executable, "-c", "pass"], **commands}.items():
            start = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            times[name].append(time.perf_counter() - start)
    return [Start(name, median(times[name]), median(times["bare"])) for name in commands]
