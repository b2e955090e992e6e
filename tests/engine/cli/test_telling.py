"""What the commands say, and do not say; options that would change nothing are refused; what is left when they are ended."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.errors import GalleryError, OnekError
from engine.gallery.gallery import Gallery
from engine.milvus.backend import MilvusBackend
from engine.templates.model import Templates, batch


def people(count: int = 40, dim: int = 24) -> Templates:
    """Each with two templates, made of photographs with telling names; the first two people are one."""
    random = np.random.default_rng(0)
    centres = np.repeat(random.normal(size=(count, dim)), 2, axis=0)
    centres[2:4] = centres[:2]
    vectors = centres + 0.05 * random.normal(size=centres.shape)
    made = Templates.from_vectors(vectors)
    sources = [f"secret-{row // 2}/photo{row}.jpg" for row in range(len(vectors))]
    names = [f"secret-{row // 2}" for row in range(len(vectors))]
    return Templates(
        made.table.from_batches([batch(made.provenance, [f"{each}#0" for each in sources], names, made.vectors, sources)]),
        made.provenance,
    )


def test_summaries_name_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pq.write_table(people().table, "t.parquet")
    np.save("probe.npy", people().vectors[:3])
    for command in (
        "build-index t.parquet -o g",
        "info g",
        "calibrate g",
        "audit g -o audit.csv",
        "identify probe.npy -g g -o r.csv --threshold 0.3",
        "check g",
        "compact g",
    ):
        answer = CliRunner().invoke(app, command.split())
        assert answer.exit_code == 0, (command, answer.exception)
        assert "secret" not in answer.output, command
        assert ".jpg" not in answer.output, command
    left_out = json.loads(CliRunner().invoke(app, ["info", "g", "--json"]).output)["calibration"]["left_out"]
    assert len(left_out) == 2
    assert "left out: 2 pairs that may be one person under two names" in CliRunner().invoke(app, ["info", "g"]).output


IGNORED = {
    "check g --wait 3": "--wait 3 goes with --repair; a check writes nothing",
    "enroll t.parquet -g milvus-lite:m.db/g --wait 3": "--wait 3 goes with galleries in folders",
    "remove kian -g milvus://localhost:1/g --wait 3": "--wait 3 goes with galleries in folders",
    "rename kian dan -g milvus://localhost:1/g --wait 0": "--wait 0 goes with galleries in folders",
    "train photos -o e.keras --loss arcface --mining hard": "--mining hard goes with --loss triplet or pairs; arcface has none",
    "train photos -o e.keras --loss arcface --margin 0.2": "--margin 0.2 goes with --loss triplet; arcface has none",
    "train photos -o e.keras --loss pairs --margin 0.3": "--margin 0.3 goes with --loss triplet; pairs has none",
    "train photos -o e.keras --rate 0": "--rate 0: expected a number above 0",
    "train photos -o e.keras --rate nan": "--rate nan: expected a number above 0",
    "train photos -o e.keras --rate inf": "--rate inf: expected a number above 0",
    "enroll photos -g g --names n.txt": "--names n.txt goes with files of vectors",
    "build-index t.parquet --names n.txt -o h": "--names n.txt has 1 names for 80 vectors",
}


@pytest.mark.parametrize("command", IGNORED)
def test_options_that_would_change_nothing_are_refused(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    folder = tmp_path_factory.mktemp("o")
    monkeypatch.chdir(folder)
    pq.write_table(people().table, "t.parquet")
    Path("n.txt").write_text("kian\n")
    Path("photos").mkdir()
    Gallery.build(people(), "g")
    answer = CliRunner().invoke(app, command.split())
    assert isinstance(answer.exception, OnekError), answer.exception
    assert IGNORED[command] in str(answer.exception)


def test_milvus_waits_for_nobody() -> None:
    backend = MilvusBackend.__new__(MilvusBackend)
    backend.path = "milvus://localhost:1/g"
    gallery = Gallery(backend)
    for change in (
        lambda: gallery.enroll(people(), wait=3),
        lambda: gallery.remove(["kian"], wait=3),
        lambda: gallery.rename("kian", "dan", wait=3),
    ):
        with pytest.raises(GalleryError, match="nobody to wait 3 s for; leave wait out"):
            change()


BUILD = """
import sys
from engine.storage import segments
from engine.cli.app import main
sys.argv = ["onek", "build-index", "t.parquet", "-o", "g"]
import engine.gallery.build
def calibrate(*_):
    print("halfway", flush=True)
    import time
    time.sleep(60)
engine.gallery.build.calibrate = calibrate
main()
"""


def halfway(ending: int) -> subprocess.Popen[str]:
    """A build that has written its templates, and got a signal then."""
    process = subprocess.Popen([sys.executable, "-c", BUILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "halfway\n"
    time.sleep(0.1)
    process.send_signal(ending)
    return process


def left(folder: Path) -> list[str]:
    return sorted(set(os.listdir(folder)) - {"t.parquet", "g"})


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_ended_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.chdir(tmp_path)
    pq.write_table(people().table, "t.parquet")
    process = halfway(signal.SIGTERM)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert "interrupted; nothing was left under its final name" in said
    assert left(tmp_path) == []
    # Killed without being asked, it cannot tidy up: the next command that is told the name does.
    process = halfway(signal.SIGKILL)
    process.communicate(timeout=30)
    assert len(left(tmp_path)) == 1
    answer = CliRunner().invoke(app, ["info", "g"])
    assert "no such gallery" in str(answer.exception)
    assert left(tmp_path) == []
