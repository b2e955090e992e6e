import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine import embed_images, load_encoder, read_templates
from engine.embedding.embedder import Embedder
from engine.embedding.photographs import find_photographs
from engine.encoders import Encoder
from engine.errors import OutputError, PhotographsError
from engine.templates.problems import problems_path
from engine.workflows.embed_files import embed_to_file, partial_folder


@pytest.fixture(scope="session")
def pixels() -> Embedder:
    return Embedder(load_encoder("pixels"), "none")


def test_photographs_to_templates(photos: Path, drawn: list[np.ndarray], sface: Encoder) -> None:
    made = embed_images(photos, sface)
    assert made.problems == ()
    table = made.templates.table
    assert table["identity"].to_pylist() == sorted(f"person{i}" for i in range(12))
    assert table["source"].to_pylist() == sorted(str(photos / f"person{i}.jpg") for i in range(12))
    content = [hashlib.sha256(Path(source).read_bytes()).hexdigest() for source in table["source"].to_pylist()]
    assert table["template_id"].to_pylist() == [f"{digest[:32]}#0" for digest in content]
    assert table["face"].to_pylist() == [0] * 12
    assert all(0 < x < 125 and 60 < w < 160 for x, _, w, _ in table["box"].to_pylist())
    assert min(table["detection"].to_pylist()) > 0.8
    in_memory = embed_images(drawn, sface).templates
    order = [int(Path(source).stem[6:]) for source in table["source"].to_pylist()]
    assert np.linalg.norm(in_memory.vectors[order] - made.templates.vectors, axis=1).max() < 0.15  # JPEG only


def test_no_image_vanishes(
    photos: Path, save: Callable[[np.ndarray, str], Path], pixels: Embedder, sface: Encoder, tmp_path: Path
) -> None:
    save(np.full((200, 200, 3), 128, np.uint8), "photos/aaa_nobody.png")
    whole = (photos / "person5.jpg").read_bytes()
    (photos / "person5.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "zzz_empty.jpg").write_bytes(b"")
    out = tmp_path / "t.parquet"
    made = embed_to_file(find_photographs([photos]), Embedder(sface), out)
    assert (made.images, made.templates, made.problems) == (14, 11, 3)
    rows = problems_path(out).read_text().splitlines()
    assert rows[0] == "source,reason"
    assert [row.split(",")[0].rsplit("/", 1)[1] for row in rows[1:]] == ["aaa_nobody.png", "person5.jpg", "zzz_empty.jpg"]
    assert [word in row for word, row in zip(("no face", "truncated", "empty"), rows[1:], strict=True)] == [True] * 3
    assert len(read_templates(out)) == 11
    assert not partial_folder(out).exists()


def test_all_faces_of_a_group(drawn: list[np.ndarray], save: Callable[[np.ndarray, str], Path], sface: Encoder) -> None:
    group = save(np.hstack([drawn[0], drawn[1], cv2.resize(drawn[2], (200, 250))]), "group.png")
    made = embed_images(group, sface, faces="all")
    table = made.templates.table
    assert table["face"].to_pylist() == [0, 1, 2]
    content = hashlib.sha256(group.read_bytes()).hexdigest()[:32]
    assert table["template_id"].to_pylist() == [f"{content}#{number}" for number in range(3)]
    assert table["identity"].null_count == 3
    labelled = embed_images(group, sface, faces="all", labels="stem")
    assert len(labelled.templates) == 0
    assert "3 faces, but the photograph is labelled as one identity (group)" in labelled.problems[0].reason
    assert len(embed_images(group, sface).templates) == 1


def test_a_blank_crop_is_a_problem(pixels: Embedder) -> None:
    made = embed_images(
        [np.full((50, 50, 3), 9, np.uint8), np.eye(50, dtype=np.uint8)[..., None].repeat(3, 2) * 255], "pixels", faces="none"
    )
    assert len(made.templates) == 1
    assert [problem.source for problem in made.problems] == ["image:0"]


@pytest.mark.parametrize("image", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8)])
def test_arrays_that_are_no_pictures(image: np.ndarray) -> None:
    with pytest.raises(PhotographsError, match="image 0: found .* expected uint8"):
        embed_images([image], "pixels", faces="none")


def test_many_batches_keep_their_order(drawn: list[np.ndarray], pixels: Embedder, tmp_path: Path) -> None:
    paths = []
    for number in range(150):
        paths.append(tmp_path / f"{number:03d}.png")
        cv2.imwrite(str(paths[-1]), np.roll(drawn[number % 12], number, axis=0))
    told: list[int] = []
    outcomes = list(pixels.stream(find_photographs([tmp_path]), told.append))
    assert [outcome.photograph.image for outcome in outcomes] == paths
    assert sum(told) == 150


def test_templates_without_their_photographs_names(photos: Path, pixels: Embedder, tmp_path: Path) -> None:
    out, other = tmp_path / "t.parquet", tmp_path / "u.parquet"
    photographs = find_photographs([photos])
    embed_to_file(photographs, pixels, out, sources=False)
    embed_to_file(photographs, pixels, other, sources=False)
    named = embed_images(photos, pixels.encoder, faces="none").templates
    held = read_templates(out)
    np.testing.assert_array_equal(held.vectors, named.vectors)
    assert held.table["identity"].equals(named.table["identity"])
    for photograph in photographs:
        assert photograph.source.encode() not in out.read_bytes()
        assert photograph.source not in str(held.table.schema) + str(held.table.drop_columns("vector").to_pylist())
    # The same photographs are known again.
    assert read_templates(other).table["template_id"].equals(held.table["template_id"])
    assert out.stat().st_mode & 0o077 == 0


def test_outputs_that_are_refused(photos: Path, pixels: Embedder, tmp_path: Path) -> None:
    photographs = find_photographs([photos])
    out = tmp_path / "t.parquet"
    embed_to_file(photographs, pixels, out)
    before = out.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        embed_to_file(photographs, pixels, out)
    embed_to_file(photographs, pixels, out, overwrite=True)
    assert out.read_bytes() == before
    with pytest.raises(OutputError, match=r"ends in \.parquet"):
        embed_to_file(photographs, pixels, tmp_path / "t.csv")
    partial_folder(tmp_path / "u.parquet").mkdir()
    with pytest.raises(OutputError, match="--resume to go on, or --overwrite"):
        embed_to_file(photographs, pixels, tmp_path / "u.parquet")


def test_resume_wants_the_same_run(photos: Path, pixels: Embedder, tmp_path: Path) -> None:
    photographs = find_photographs([photos])
    out = tmp_path / "t.parquet"

    class Stop(Exception):
        pass

    def stop(done: int) -> None:
        if done:
            raise Stop

    with pytest.raises(Stop):
        embed_to_file(photographs, pixels, out, progress=stop)
    assert partial_folder(out).exists()
    assert not out.exists()
    with pytest.raises(OutputError, match=r"was of 12 photographs, these are 11"):
        embed_to_file(photographs[1:], pixels, out, resume=True)
    other = Embedder(load_encoder("pixels", flip=False), "none")
    with pytest.raises(OutputError, match="another encoder"):
        embed_to_file(photographs, other, out, resume=True)
    assert embed_to_file(photographs, pixels, out, resume=True).templates == 12


def test_resume_wants_the_same_faces(photos: Path, sface: Encoder, tmp_path: Path) -> None:
    photographs = find_photographs([photos], "none")
    out = tmp_path / "t.parquet"

    def stop(done: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_to_file(photographs, Embedder(sface, "largest"), out, progress=stop)
    with pytest.raises(OutputError, match="was with --faces largest, this one with --faces all"):
        embed_to_file(photographs, Embedder(sface, "all"), out, resume=True)


RUN = """
import json, sys
from pathlib import Path
import engine.workflows.embed_files as journal
from engine.embedding.embedder import Embedder
from engine.encoders import load_encoder
from engine.embedding.photographs import Photograph
journal.PART = 16
folder, out, names, resume = json.load(sys.stdin)
photographs = [Photograph(name, Path(folder, name), name) for name in names]
done = []
def progress(more):
    done.append(more)
    print(sum(done), flush=True)
journal.embed_to_file(photographs, Embedder(load_encoder("pixels"), "none"), Path(out), resume=resume, progress=progress)
"""


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_is_continued(drawn: list[np.ndarray], tmp_path: Path, pixels: Embedder, kill: int) -> None:
    """Killed after about a third: nothing under the final name; resumed: nothing twice, nothing lost, and nothing done again."""
    folder = tmp_path / "p"
    folder.mkdir()
    names = [f"{number:03d}.png" for number in range(480)]
    for number, name in enumerate(names):
        if number % 50 == 7:
            (folder / name).write_bytes(b"")
        else:
            cv2.imwrite(str(folder / name), np.roll(drawn[number % 12], number, axis=1))
    out = tmp_path / "t.parquet"

    def start(resume: bool) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdin
        process.stdin.write(json.dumps([str(folder), str(out), names, resume]))
        process.stdin.close()
        return process

    killed = start(resume=False)
    assert killed.stdout
    for line in killed.stdout:
        if int(line) >= 160:
            killed.send_signal(kill)
            break
    killed.wait()
    assert killed.returncode != 0
    assert not out.exists()
    parts = sorted(partial_folder(out).glob("[0-9]*.parquet"))
    done = int(parts[-1].stem)
    assert done >= 128
    finished = {part.name: part.stat().st_mtime_ns for part in parts}
    (partial_folder(out) / ".half.partial").write_bytes(b"a write that was cut off")

    resumed = start(resume=True)
    assert resumed.stdout
    first = int(resumed.stdout.readline())
    assert first == done
    still_there = {part.name: part.stat().st_mtime_ns for part in partial_folder(out).glob("[0-9]*.parquet")}
    assert finished.items() <= still_there.items() or out.exists()
    assert resumed.wait() == 0, resumed.stderr and resumed.stderr.read()
    sources = read_templates(out).table["source"].to_pylist()
    problems = [row.split(",")[0] for row in problems_path(out).read_text().splitlines()[1:]]
    assert sources == [name for name in names if name not in problems]
    assert problems == names[7::50]
    whole = embed_to_file([replace(p, source=p.image.name) for p in find_photographs([folder])], pixels, tmp_path / "u.parquet")  # type: ignore[union-attr]
    assert whole.templates == len(sources)
    np.testing.assert_array_equal(read_templates(tmp_path / "u.parquet").vectors, read_templates(out).vectors)


@pytest.mark.slow
def test_memory_is_flat(photos: Path, tmp_path: Path) -> None:
    """The README's figures come from `onek benchmark memory`; this is the same at a size that a test can afford."""
    from benchmarks.speed.process_footprint import embed_memory

    start = time.monotonic()
    small, large = embed_memory(sorted(photos.glob("*.jpg")), [1000, 4000], tmp_path / "t.parquet")
    assert large.mebibytes < 1.1 * small.mebibytes, (small, large, time.monotonic() - start)
