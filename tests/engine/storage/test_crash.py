"""Whatever cuts a change off, the gallery is as before or after it, and what was acknowledged is there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.durability.kills import survive

_FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_no_acknowledged_change_is_lost_to_a_kill(tmp_path: Path, seed: int, lists: bool) -> None:
    """Of a small gallery, which is compacted again and again, and of one with lists, behind which tails are sealed."""
    made = survive(tmp_path, kills=20 if lists or not seed else 50, seed=seed, lists=lists)
    assert (made.lost, made.unopened, made.damaged) == (0, 0, 0)
    assert made.acknowledged > made.kills
    assert min(made.cut_off.values()) > 0


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes calls fail."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler, on Linux")
    library = tmp_path_factory.mktemp("shim") / "failing_io.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, _FIXTURES / "failing_io.c", "-ldl"], check=True)
    return library


@pytest.mark.parametrize("ways", ["one", pytest.param("both", marks=pytest.mark.slow)])
@pytest.mark.parametrize("change", ["enroll", "seal", "remove", "rename", "compact", "backup", "build"])
def test_a_full_disk_and_a_failing_one(shim: Path, tmp_path: Path, change: str, ways: str) -> None:
    """Every write, fsync, truncation, rename, link and removal of a change fails in turn: alone, or with all that follow."""
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    ours = {"LD_PRELOAD": str(shim), "FAIL_BELOW": str(tmp_path / "failing"), "PYTHONPATH": str(_FIXTURES.parents[1])}
    done = subprocess.run(
        [sys.executable, _FIXTURES / "failing_io.py", tmp_path, change, ways],
        env={**os.environ, **one_thread, **ours},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["calls"] > 10
    assert found["wrong"] == [], done.stderr
