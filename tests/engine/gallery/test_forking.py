"""A child process that was forked from one that searched, embedded or wrote: it works, or says in one line why it cannot."""

import subprocess
import sys
from pathlib import Path

import pytest

_PRELUDE = """
import os, sys
import numpy as np
from engine.errors import OnekError
from engine.workflows.locations import build_gallery, open_gallery
from engine.templates.model import Templates

folder = sys.argv[1]
drawn = np.random.default_rng(0)

def people(count, first=0, dim=24):
    names = [f"id{first + number}" for number in range(count)]
    vectors = drawn.normal(size=(count, dim)) * np.linspace(1, 0.2, dim) ** 3
    return Templates.from_vectors(vectors, names, names)

def in_a_child(work):
    child = os.fork()
    if not child:
        try:
            print(work(), flush=True)
        except OnekError as error:
            print(type(error).__name__, error, flush=True)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
"""


def run(code: str, folder: Path) -> list[str]:
    """What a program prints; it is given so long that only one that waits for ever needs longer."""
    command = [sys.executable, "-W", "ignore", "-c", _PRELUDE + code, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_child_searches_enrols_and_seals(tmp_path: Path) -> None:
    """Exhaustively, by lists, and by bounds, each with threads of OpenMP's or of the linear algebra's in the parent before."""
    code = """
from threading import Thread
import indexes.exact.flat
for kind, count, few in (("flat", 1500, 20_000), ("ivf", 1500, 20_000), ("flat", 5000, 4500)):
    indexes.exact.flat._FEW_VECTORS = few
    enrolled = people(count)
    gallery = build_gallery(enrolled, f"{folder}/{kind}{count}", index=kind, score="plain", recall=0.5)
    probes = enrolled.vectors[:200]
    names = lambda opened: [each.identity for each in opened.identify(probes, threshold=0.5)]
    before = names(gallery)

    def work():
        other, found = open_gallery(gallery.path), []
        thread = Thread(target=lambda: found.append(names(gallery)))
        thread.start()
        thread.join()
        same = before == names(gallery) == names(other) == found[0]
        other.enroll(people(3, 10**6))
        other.compact()
        return same, len(other) - count

    in_a_child(work)
    gallery.refresh()
    print(before == names(gallery), len(gallery) - count)
"""
    assert run(code, tmp_path) == ["(True, 3)", "True 3"] * 3


def test_children_of_multiprocessing(tmp_path: Path) -> None:
    code = """
import multiprocessing
enrolled = people(3000)
gallery = build_gallery(enrolled, f"{folder}/g")
probes = enrolled.vectors[:300]
gallery.identify(probes)

def found(part):
    return [each.identity for each in gallery.identify(probes[part::3], threshold=9.0)]

with multiprocessing.get_context("fork").Pool(3) as pool:
    print(sorted(sum(pool.map(found, range(3)), [])) == sorted(f"id{number}" for number in range(300)))
"""
    assert run(code, tmp_path) == ["True"]


def test_a_child_while_another_thread_looks(tmp_path: Path) -> None:
    """Nobody in the child will ever let go of what that thread held."""
    code = """
from threading import Event, Thread
from engine.storage import folder_snapshot
gallery = build_gallery(people(50), f"{folder}/g")
probes, inside, go_on = people(1).vectors, Event(), Event()
looked = gallery.backend._newest._look

def slowly(before):
    inside.set()
    go_on.wait()
    return looked(before)

gallery.backend._newest._look = slowly
thread = Thread(target=gallery.refresh)
thread.start()
inside.wait()
gallery.backend._newest._look = looked
in_a_child(lambda: (gallery.refresh(), len(gallery.identify(probes, threshold=9.0))))
go_on.set()
thread.join()
"""
    assert run(code, tmp_path) == ["(False, 1)"]


_ENCODERS = """
from engine.encoders import load_encoder
picture = np.zeros((2, 112, 112, 3), np.uint8)
encoder = load_encoder("sface", runtime=%r)
before = encoder.encode(picture)
in_a_child(lambda: np.allclose(encoder.encode(picture), before, atol=1e-5))
in_a_child(lambda: np.allclose(load_encoder("sface", runtime=%r).encode(picture), before, atol=1e-5))
in_a_child(lambda: np.allclose(load_encoder("sface", photographs=1000).encode(picture), before, atol=1e-4))
"""


def test_a_child_embeds_with_opencv(tmp_path: Path) -> None:
    assert run(_ENCODERS % ("opencv", "opencv"), tmp_path)[:2] == ["True", "True"]


def test_a_child_is_told_what_openvino_does_not_outlive(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    same, anew, default = run(_ENCODERS % ("openvino", "openvino"), tmp_path)
    for line in (same, anew):
        assert line.startswith("EncoderError OpenVINO ran before this process was forked")
        assert "spawn or forkserver" in line
    assert default == "True"


def test_a_child_is_told_what_a_connection_does_not_outlive(tmp_path: Path) -> None:
    code = """
gallery = build_gallery(people(30), f"milvus-lite:{folder}/m.db/g")
gallery.identify(people(1).vectors, threshold=2.0)
in_a_child(lambda: gallery.identify(people(1).vectors, threshold=2.0))
gallery.close()
"""
    (line,) = run(code, tmp_path)
    assert line.startswith("GalleryError milvus-lite:")
    assert "was opened before this process was forked" in line
