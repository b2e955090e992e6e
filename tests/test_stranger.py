"""Whoever uses the package from outside: his program runs, and his type checker takes it."""

import json
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
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "MYPYPATH": str(ROOT), "PYTHONWARNINGS": "error:::engine"}
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


# Lines of the program `wrong` that a type checker must complain of.
WRONG = {3, 4, 5}


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.py"
    path.write_text(
        "from engine import Gallery\n"
        'gallery = Gallery.open("g")\n'
        'Gallery.build([[1.0]], ["a"])\n'
        'gallery.identify([[1.0]], fpir="1%")\n'
        "result: int = gallery.identify([[1.0]])[0].identity\n"
    )
    return path


def test_a_strangers_mypy_takes_it(wrong: Path, tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    for package in ("engine", "indexes"):
        assert (ROOT / package / "py.typed").is_file()
    mine = tmp_path / "stranger.py"
    mine.write_bytes(PROGRAM.read_bytes())
    # What the package itself imports without types is not the stranger's affair.
    done = run("-m", "mypy", "--strict", "--follow-imports=silent", "--ignore-missing-imports", mine, wrong, cwd=tmp_path)
    found = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line for line in found if line.startswith("stranger.py")] == [], done.stdout
    assert {line.split(":")[1] for line in found} == set(map(str, WRONG)), done.stdout + done.stderr


PYRIGHT = next((name for name in ("pyright", "basedpyright") if find_spec(name) is not None), None)


@pytest.mark.skipif(PYRIGHT is None, reason="pyright is not installed")
def test_a_strangers_pyright_takes_it(wrong: Path, tmp_path: Path) -> None:
    (tmp_path / "stranger.py").write_bytes(PROGRAM.read_bytes())
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "standard", "extraPaths": [str(ROOT)]}))
    done = run("-m", str(PYRIGHT), "--pythonpath", sys.executable, "--outputjson", "-p", tmp_path, cwd=tmp_path)
    found = json.loads(done.stdout)["generalDiagnostics"]
    errors = [each for each in found if each["severity"] == "error"]
    assert [each for each in errors if not each["file"].endswith(wrong.name)] == []
    assert {each["range"]["start"]["line"] + 1 for each in errors} == WRONG, done.stdout
