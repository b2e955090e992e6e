"""The commands, as processes: exit status, what is printed, what is left behind."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from benchmarks.data.synthetic_templates import Population, Shape
from engine.cli.app import app
from engine.encoders.sface import CARD
from engine.errors import OutputError
from tests.support.other_user import as_no_root

ONEK = str(Path(sys.executable).with_name("onek"))
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `onek` in the test's folder."""

    def call(*arguments: object, **options: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([ONEK, *map(str, arguments)], cwd=tmp_path, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]

    return call


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """Thirty labelled vectors from elsewhere."""
    values = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    pq.write_table(pa.table({"vector": values.tolist(), "identity": [f"id{i // 2}" for i in range(30)]}), tmp_path / "v.parquet")
    return tmp_path / "v.parquet"


def refused(done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_the_whole_way(run: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "zzz.jpg").write_bytes(b"")
    embedded = run("embed", "photos", "--out", "t.parquet")
    assert embedded.returncode == 3, embedded.stderr
    assert embedded.stdout == "13 images: 12 templates in t.parquet, 1 problem in t.problems.csv\n"
    assert "cuda" not in embedded.stderr
    assert (tmp_path / "t.problems.csv").read_text() == "source,reason\nphotos/zzz.jpg,the file is empty\n"
    (photos / "zzz.jpg").unlink()

    built = run("build-index", "t.parquet", "--out", "g")
    assert built.returncode == 0, built.stderr
    lines = built.stdout.splitlines()
    assert lines[:2] == [
        "12 templates of 12 identities in g (flat index, 128 dimensions)",
        "calibrated at 12 identities by 12 searches of enrolled people, each as if never enrolled:",
    ]
    assert lines[2].startswith("  --fpir 0.1    plain score 0.")

    identified = run("identify", "photos", "--gallery", "g", "--out", "r.csv")
    assert identified.returncode == 0, identified.stderr
    assert identified.stdout.splitlines()[-1] == "12 probe faces: 12 identified, 0 unknown, 0 failed, in r.csv"

    assert run("verify", "photos/person3.jpg", "person3", "--gallery", "g").returncode == 0
    other = run("verify", "photos/person3.jpg", "person4", "-g", "g", "--threshold", "0.05")
    assert other.returncode == 4
    assert other.stdout.startswith("not the same: photos/person3.jpg is 0.")

    info = json.loads(run("info", "g", "--json").stdout)
    assert (info["identities"], info["encoder"], info["threshold"], info["flip"]) == (12, "sface", CARD.threshold, CARD.flip)
    assert info["runtime"].startswith("OpenCV 5.")
    shown = run("info", "g").stdout
    assert "sface" in shown
    assert "float32" in shown
    refused(run("identify", "t.parquet", "-g", "g", "-o", "r.csv"), "r.csv exists already", "--overwrite")


def test_photographs_to_names_without_tensorflow(photos: Path) -> None:
    code = """
import sys
from typer.testing import CliRunner
from engine.cli.app import app
for arguments in (
    ["embed", "photos", "-o", "t.parquet"],
    ["build-index", "t.parquet", "-o", "g"],
    ["identify", "photos/person1.jpg", "-g", "g", "-o", "r.csv"],
    ["verify", "photos/person1.jpg", "person1", "-g", "g"],
    ["enroll", "photos/person2.jpg", "--identity", "two", "--on-duplicate", "replace", "-g", "g"],
):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
heavy = {"tensorflow", "keras", "matplotlib", "ray", "pymilvus"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=photos.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_vectors_alone_never_load_tensorflow(vectors: Path) -> None:
    code = """
import sys
from pathlib import Path
from typer.testing import CliRunner
from engine import Gallery
from engine.cli.app import app
done = CliRunner().invoke(app, ["build-index", "v.parquet", "--out", "g"])
assert done.exit_code == 0, done.output
done = CliRunner().invoke(app, ["identify", "v.parquet", "--gallery", "g", "--out", "r.parquet", "--threshold", "0.5"])
assert done.exit_code == 0, done.output
heavy = {"tensorflow", "keras", "cv2", "onnx", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=vectors.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(vectors.parent / "r.parquet")["identity"].to_pylist() == [f"id{i // 2}" for i in range(30)]


def test_commands_that_tell_load_little(vectors: Path) -> None:
    """What is not needed to say what a gallery holds: it would take as long as all else. pandas is installed where tests are."""
    code = """
import sys
from engine.cli.app import main
sys.argv = ["onek", *sys.argv[1:]]
try:
    main()
finally:
    heavy = {"pandas", "pyarrow.compute", "faiss", "psutil", "threadpoolctl", "benchmarks.cli.app", "cv2", "scipy"}
    loaded = heavy & set(sys.modules)
    assert sys.argv[1] == "build-index" or not loaded, loaded
    assert "pandas" not in sys.modules
    import pandas
"""
    for arguments in (["build-index", "v.parquet", "--out", "told"], ["info", "told"], ["list", "told"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=vectors.parent, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_import_engine_loads_nothing_heavy() -> None:
    code = "import sys, engine; print({'numpy', 'pyarrow', 'faiss', 'tensorflow', 'cv2', 'rich'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"


def test_help_names_every_command(run: Run) -> None:
    shown = run("--help")
    assert shown.returncode == 0
    for command in ("embed", "build-index", "identify", "verify", "info", "encoders", "calibrate", "audit", "benchmark", "demo"):
        assert command in shown.stdout
    listed = run("encoders", env={**os.environ, "COLUMNS": "220"}).stdout
    for word in (
        "sface (default)",
        "Apache-2.0",
        f"{CARD.threshold:g}",
        "dlib-resnet",
        "CC0-1.0",
        "openface-course",
        "yunet_2023mar",
        "(MIT)",
        "pixels",
        "PATH.onnx",
    ):
        assert word in listed
    assert run("--version").stdout.startswith("onek 0.")


def test_photographs_that_are_not_there(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(run("embed", "gone", "-o", "t.parquet"), "gone: no such file or folder")
    refused(run("embed", "empty", "-o", "t.parquet"), "empty: no images")
    refused(run("embed", "empty", "-o", "t.csv"), "t.csv", ".parquet")
    refused(run("embed", "empty", "-o", "nowhere/t.parquet"), "no folder nowhere")
    refused(run("embed"), "Missing argument")
    assert sorted(os.listdir(tmp_path)) == ["empty"]


def test_choices_that_do_not_exist(run: Run, photos: Path, tmp_path: Path) -> None:
    refused(run("embed", "photos", "-o", "t.parquet", "--encoder", "dlib-resnt"), "Did you mean dlib-resnet?")
    refused(run("embed", "photos", "-o", "t.parquet", "--labels", "stm"), "did you mean stem?")
    refused(run("embed", "photos", "-o", "t.parquet", "--encoder", "pixels", "--faces", "big"), "expected largest, all or none")
    assert sorted(os.listdir(tmp_path)) == ["photos"]


def test_vectors_that_are_none(run: Run, vectors: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"name": ["a"]}), tmp_path / "columns.parquet")
    np.save(tmp_path / "nan.npy", np.array([[1.0] * 8, [np.nan] * 8]))
    np.save(tmp_path / "zero.npy", np.zeros((1, 8)))
    np.save(tmp_path / "wide.npy", np.ones((1, 9)))
    refused(
        run("build-index", "columns.parquet", "-o", "g"),
        "columns.parquet",
        "found the columns name; expected one of vectors, called vector or embedding",
    )
    refused(run("build-index", "nan.npy", "-o", "g"), "nan.npy: row 1 holds NaN")
    refused(run("build-index", "gone.parquet", "-o", "g"), "gone.parquet: no such")
    refused(run("build-index", ".", "-o", "g"), "is a folder", "onek embed")
    assert not (tmp_path / "g").exists()
    assert run("build-index", "v.parquet", "-o", "g").returncode == 0
    refused(run("identify", "zero.npy", "-g", "g", "-o", "r.csv", "--threshold", "0.5"), "zero.npy: row 0 holds a zero vector")
    refused(run("identify", "wide.npy", "-g", "g", "-o", "r.csv", "--threshold", "0.5"), "g holds 8 dimensions", "9")
    refused(run("identify", "v.parquet", "-g", "g", "-o", "r.csv"), "no default threshold", "--threshold")
    refused(run("identify", "v.parquet", "-g", "g", "-o", "r.csv", "--threshold", "7"), "threshold is 7.0", "0 to 2")
    refused(run("identify", "v.parquet", "-g", "g", "-o", "r.doc", "--threshold", "0.5"), "'.doc'", ".jsonl")
    refused(run("identify", "v.parquet", "-g", "g", "-o", "r.csv", "--threshold", "0.5", "--faces", "all"), "go with photographs")
    refused(run("identify", "v.parquet", "-g", "gone", "-o", "r.csv"), "gone: no such gallery")
    refused(run("info", "."), "is no gallery")
    refused(run("verify", "v.parquet", "nobody", "-g", "g", "--threshold", "0.5"), "nobody called nobody is enrolled")
    assert not [name for name in os.listdir(tmp_path) if name.startswith("r.") or "partial" in name]


@pytest.mark.parametrize(
    "arguments",
    [
        ("build-index", "v.parquet", "-o", "g2"),
        ("identify", "v.parquet", "-g", "g", "-o", "r.parquet", "--threshold", "0.5"),
        ("identify", "v.parquet", "-g", "g", "-o", "r.csv", "--threshold", "0.5"),
        ("embed", "photos", "-o", "t.parquet", "--encoder", "pixels", "--faces", "none"),
    ],
    ids=["build-index", "identify to Parquet", "identify to CSV", "embed"],
)
def test_a_disk_that_takes_no_more(run: Run, vectors: Path, photos: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run("build-index", "v.parquet", "-o", "g").returncode == 0
    before = sorted(os.listdir(tmp_path))

    def small_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))

    refused(run(*arguments, preexec_fn=small_disk), "cannot write", arguments[arguments.index("-o") + 1], "File too large")
    assert [name for name in sorted(os.listdir(tmp_path)) if not name.endswith("t.parquet.partial")] == before


def test_a_folder_that_may_not_be_written(vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    vectors.chmod(0o644)
    (tmp_path / "locked").mkdir(mode=0o555)
    (tmp_path / "closed").mkdir(mode=0o600)
    assert CliRunner().invoke(app, ["build-index", "v.parquet", "-o", "g"]).exit_code == 0

    def build() -> None:
        for folder, why in (("locked", "no permission"), ("closed", "cannot write closed/g: Permission denied")):
            refusal = CliRunner().invoke(app, ["build-index", "v.parquet", "-o", f"{folder}/g"]).exception
            assert isinstance(refusal, OutputError)
            assert why in str(refusal)

    as_no_root(build)
    assert os.listdir(tmp_path / "locked") == []


def test_ctrl_c_leaves_nothing_that_looks_finished(photos: Path, tmp_path: Path) -> None:
    for number in range(40):
        for name in list(photos.glob("person?.jpg")):
            (photos / f"{name.stem}_{number}.jpg").hardlink_to(name)
    process = subprocess.Popen(
        [ONEK, "embed", "photos", "-o", "t.parquet", "--encoder", "pixels"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "t.parquet.partial" / "run.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert sorted(os.listdir(tmp_path)) == ["photos", "t.parquet.partial"]


def test_what_is_said_after_ctrl_c_is_true(vectors: Path, tmp_path: Path) -> None:
    """The output stands already when whatever follows is interrupted."""
    code = """
import contextlib, sys
from engine.cli import app as cli
from engine.cli.main_path import identify as pipeline

@contextlib.contextmanager
def slow(*_):
    yield None
    raise KeyboardInterrupt  # as workers shut down

pipeline.spread_over = slow
sys.argv = ["onek", "identify", "v.parquet", "-g", "g", "-o", "r.csv", "--threshold", "0.5"]
cli.main()
"""
    assert subprocess.run([ONEK, "build-index", "v.parquet", "-o", "g"], cwd=tmp_path, check=False).returncode == 0
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.strip().splitlines()[-1] == "onek: interrupted; r.csv: finished, and whole"
    assert (tmp_path / "r.csv").is_file()


def test_threads_reach_faiss_and_blas() -> None:
    told = "from engine.cli.options import limit_threads; limit_threads(1); import faiss, numpy, threadpoolctl;"
    shown = "print(faiss.omp_get_max_threads(), {pool['num_threads'] for pool in threadpoolctl.threadpool_info()})"
    done = subprocess.run([sys.executable, "-c", told + shown], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "{1}"]


def test_false_alarms_at_the_rate_that_was_asked_for(run: Run, tmp_path: Path) -> None:
    people = Population(Shape.load())
    strangers = people.templates(1 << 28, 500)
    names = pa.array([f"id{i}" for i in range(300)])
    pq.write_table(pa.table({"vector": people.templates(0, 300).tolist(), "identity": names}), tmp_path / "v.parquet")
    np.save(tmp_path / "strangers.npy", strangers)
    np.save(tmp_path / "cohort.npy", people.templates(1 << 27, 400))
    built = run("build-index", "v.parquet", "-o", "g")
    assert built.returncode == 0, built.stderr
    assert "  --fpir 0.01   local score 0." in built.stdout
    assert "(fitted tail; truly 0.00" in built.stdout

    def named(*options: object) -> int:
        done = run("identify", "strangers.npy", "-g", "g", "-o", "r.csv", "--overwrite", *options)
        assert done.returncode == 0, done.stderr
        return int(done.stdout.split(" identified")[0].split()[-1])

    assert named("--fpir", 0.002) <= named() == named("--fpir", 0.01) < named("--fpir", 0.2) <= 200
    assert named("--threshold", 0) == 0
    refused(run("identify", "strangers.npy", "-g", "g", "-o", "r2.csv", "--fpir", 0), "above 0 and below 1")
    refused(run("identify", "strangers.npy", "-g", "g", "-o", "r2.csv", "--fpir", "1e-6"), "support 0.0017 at the least")
    refused(run("identify", "strangers.npy", "-g", "g", "-o", "r2.csv", "--fpir", 0.1, "--threshold", 1), "both given")
    refused(run("verify", "v.parquet", "id0", "-g", "g", "--fmr", 2), "above 0 and below 1")

    calibrated = run("calibrate", "g", "--strangers", "cohort.npy")
    assert calibrated.returncode == 0, calibrated.stderr
    assert calibrated.stdout.startswith("calibrated at 300 identities by 400 searches of strangers given:\n")
    assert json.loads(run("info", "g", "--json").stdout)["calibration"]["source"] == "strangers"
    refused(run("calibrate", "g", "--strangers", "v.parquet"), "are of enrolled identities, such as id0")
    assert "of enrolled people, each as if never enrolled" in run("calibrate", "g").stdout

    audited = run("audit", "g", "-o", "a.csv", "--most", 7)
    assert audited.returncode == 0, audited.stderr
    assert audited.stdout.startswith("7 pairs of identities, 0 images, 0 identities of two groups, 0 scattered people and 0 ")
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 8
    refused(run("audit", "g", "-o", "a.csv"), "a.csv exists already")
    plain = run("build-index", "v.parquet", "-o", "g2", "--score", "plain", "--fuse", 2)
    assert plain.returncode == 0, plain.stderr
    assert "plain score 1." in plain.stdout
    refused(run("build-index", "v.parquet", "-o", "g3", "--score", "best"), "expected plain, local or quality")
