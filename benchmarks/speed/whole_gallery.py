"""A gallery of synthetic templates through the commands' own functions, each in a process of its own."""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.data.synthetic_templates import Population, Shape
from engine.errors import OnekError
from engine.templates.model import batch
from engine.templates.parquet import TemplateWriter
from engine.templates.provenance import Provenance

_STRANGERS = 1 << 28

# Watches the memory of its own process, mapped files left out, while a job runs; the last line that it prints is a JSON object.
_WATCHED = """
import json, sys, threading, time
import psutil
start = time.perf_counter()
peak, over = 0, threading.Event()
def watch():
    global peak
    me = psutil.Process()
    while not over.wait(0.02):
        now = me.memory_info()
        peak = max(peak, now.rss - now.shared)
threading.Thread(target=watch, daemon=True).start()
job = json.loads(sys.argv[1])
from pathlib import Path
from engine.gallery.gallery import Gallery
if job["what"] == "build":
    more = {name: job[name] for name in ("memory", "index", "recall") if name in job}
    said = []
    began = time.perf_counter()
    planned = lambda plan: said.append((time.perf_counter(), plan))
    kind = Gallery.build([job["templates"]], job["gallery"], overwrite=True, planned=planned, **more).info().index
    at, plan = said[0]
    answer = {"kind": kind, "announced": plan.seconds, "announced_memory": plan.memory}
    answer |= {"looked": at - began, "taken": time.perf_counter() - at}
elif job["what"] == "open":
    import numpy as np
    probe = np.load(job["probe"])
    opened = time.perf_counter()
    Gallery.open(job["gallery"]).identify(probe, threshold=0.3)
    answer = {"first": time.perf_counter() - opened}
else:
    from dataclasses import replace
    import numpy as np
    from engine.workflows.identify_files import TEMPLATES, identify_to_file
    from engine.answers.newest import Newest
    from engine.matching.scoring import Scoring
    from engine.templates.parquet import read_templates
    gallery, plain = Gallery.open(job["gallery"]), Gallery.open(job["gallery"])
    # The same gallery with plain scores: what the local ones cost.
    scored = replace(plain.enrolled, scoring=Scoring("plain"))
    plain._newest = Newest(replace(plain.snapshot(), enrolled=scored), lambda seen: seen)
    probes = read_templates(job["probes"]).vectors
    out, index, wanted = Path(job["out"]), gallery.index, gallery.enrolled.scoring.shortlist
    bare, files, plain_files = [], [], []
    index.search(probes[:TEMPLATES], wanted)
    for _ in range(job["rounds"]):
        began = time.perf_counter()
        for at in range(0, len(probes), TEMPLATES):
            index.search(probes[at:at + TEMPLATES], wanted)
        bare.append(time.perf_counter() - began)
        began = time.perf_counter()
        identify_to_file(gallery, [Path(job["probes"])], out, threshold=0.3, overwrite=True)
        files.append(time.perf_counter() - began)
        began = time.perf_counter()
        identify_to_file(plain, [Path(job["probes"])], out, threshold=0.3, overwrite=True)
        plain_files.append(time.perf_counter() - began)
    answer = {"bare": bare, "files": files, "plain": plain_files}
over.set()
print(json.dumps({**answer, "seconds": time.perf_counter() - start, "peak": peak}))
"""


@dataclass(frozen=True)
class WholeGallery:
    """Seconds, probes a second, bytes of memory at most; `ratio` is identify's rate over the bare index's, a median of
    rounds; `local_cost` the share of identify's rate that local scores cost, beside plain ones.
    """

    kind: str
    build_seconds: float
    build_memory: int
    open_seconds: float
    start_seconds: float
    identify_per_second: float
    bare_per_second: float
    ratio: float
    low: float
    high: float
    local_cost: float
    identify_memory: int


def measure_gallery(
    out: Path, count: int, probes: int, *, memory: int | None, index: str | None, recall: float, rounds: int
) -> WholeGallery:
    """Write templates of `count` identities and of `probes` people below `out`, build a gallery, open it, identify them."""
    out.mkdir(parents=True, exist_ok=True)
    templates, probe_file, one, gallery = out / "t.parquet", out / "p.parquet", out / "one.npy", out / "gallery"
    people = Population(Shape.load())
    write_templates(people, templates, [(0, count, 0)])
    write_templates(people, probe_file, [(0, min(count, probes // 2), 1), (_STRANGERS, probes - min(count, probes // 2), 0)])
    np.save(one, people.templates(5 % count, 1, 1))
    start = time.perf_counter()
    built = watched(what="build", templates=str(templates), gallery=str(gallery), memory=memory, index=index, recall=recall)
    seconds = time.perf_counter() - start
    opened = [watched(what="open", gallery=str(gallery), probe=str(one)) for _ in range(rounds)]
    searched = watched(what="identify", gallery=str(gallery), probes=str(probe_file), out=str(out / "r.parquet"), rounds=rounds)
    ratios = [bare / file for bare, file in zip(searched["bare"], searched["files"], strict=True)]
    shutil.rmtree(gallery)
    templates.unlink()
    return WholeGallery(
        kind=built["kind"],
        build_seconds=seconds,
        build_memory=built["peak"],
        open_seconds=median(run["first"] for run in opened),
        start_seconds=median(run["seconds"] for run in opened),
        identify_per_second=probes / median(searched["files"]),
        bare_per_second=probes / median(searched["bare"]),
        ratio=median(ratios),
        low=min(ratios),
        high=max(ratios),
        local_cost=1 - median(plain / file for plain, file in zip(searched["plain"], searched["files"], strict=True)),
        identify_memory=searched["peak"],
    )


def write_templates(people: Population, path: Path, runs: list[tuple[int, int, int]]) -> None:
    """Write templates of people in `runs`: the first one, how many, and which image of each."""
    made = Provenance(people.shape.encoder, "synthetic", people.shape.dim, flip=True)
    with TemplateWriter(path, made) as writer:
        for first, count, image in runs:
            at = first
            for vectors in people.batches(first, count, image):
                names = pa.array([f"person{number}" for number in range(at, at + len(vectors))])
                ids = pa.array([f"person{number}:{image}" for number in range(at, at + len(vectors))])
                writer.write(batch(made, ids, names, vectors))
                at += len(vectors)


def watched(**job: object) -> dict[str, Any]:
    """What a job of `_WATCHED`, in a process of its own, answered.

    Raises:
        OnekError: it failed; with the end of what it said.
    """
    done = subprocess.run([sys.executable, "-c", _WATCHED, json.dumps(job)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OnekError(f"{job['what']} failed: {done.stderr.strip()[-800:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))
