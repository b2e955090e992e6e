"""Whoever uses the package from outside: his program runs, and his type checker takes it."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import engine

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "tests" / "fixtures" / "stranger.py"


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MYPYPATH": str(ROOT), "PYTHONWARNINGS": "error:::engine"}
    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_a_strangers_program_runs(photos: Path, tmp_path: Path) -> None:
    done = run(PROGRAM, photos, tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "<Gallery " in done.stdout
    assert "<Results: 1 probe face: " in done.stdout


def test_the_program_uses_every_public_name() -> None:
    text = PROGRAM.read_text(encoding="utf-8")
    assert [name for name in engine.__all__ if text.count(name) < 2] == []


def test_a_strangers_mypy_takes_it(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    for package in ("engine", "indexes"):
        assert (ROOT / package / "py.typed").is_file()
    mine = tmp_path / "stranger.py"
    mine.write_bytes(PROGRAM.read_bytes())
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from engine import Gallery\n"
        'gallery = Gallery.open("g")\n'
        'Gallery.build([[1.0]], ["a"])\n'
        'gallery.identify([[1.0]], fpir="1%")\n'
        "result: int = gallery.identify([[1.0]])[0].identity\n"
    )
    # What the package itself imports without types is not the stranger's affair.
    done = run("-m", "mypy", "--strict", "--follow-imports=silent", "--ignore-missing-imports", mine, wrong, cwd=tmp_path)
    found = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line for line in found if line.startswith("stranger.py")] == [], done.stdout
    assert {line.split(":")[1] for line in found} == {"3", "4", "5"}, done.stdout + done.stderr


@pytest.mark.skipif(find_spec("pyright") is None, reason="pyright is not installed")
def test_a_strangers_pyright_takes_it(tmp_path: Path) -> None:
    done = run("-m", "pyright", PROGRAM, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
