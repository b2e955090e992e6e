"""The tab key, as a shell asks: commands, encoders, and the people of a small gallery."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine import Gallery
from engine.cli import completion
from engine.encoders.registry import CARDS


def completed(line: str, cwd: Path) -> list[str]:
    """What bash is offered behind a line."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "_ONEK_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    code = "import sys; sys.argv = ['onek']; from engine.cli.app import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Gallery.build(np.random.default_rng(0).normal(size=(4, 8)), ["kian", "kim roe", "lena", "x\u202ey"], tmp_path / "g").close()
    return tmp_path


def test_a_shell_is_offered_people_and_encoders(folder: Path) -> None:
    assert completed("onek show -g g k", folder) == ["kian", "kim roe"]
    assert completed("onek embed p --encoder d", folder) == [card.name for card in CARDS if card.name.startswith("d")]


class Asked:
    """A command line so far."""

    def __init__(self, gallery: object) -> None:
        self.params = {"gallery": gallery}


def test_people_are_those_of_a_small_gallery_that_is_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def people(gallery: object, begun: str = "") -> list[str]:
        return completion.complete_people(Asked(gallery), begun)  # type: ignore[arg-type]

    assert people(str(folder / "g")) == ["kian", "kim roe", "lena"]
    assert people(str(folder / "g"), "l") == ["lena"]
    assert people(str(folder)) == people(str(folder / "none")) == people(None) == people("milvus://h:1/g") == []
    monkeypatch.setattr(completion, "MOST", 1)
    assert people(str(folder / "g")) == ["kian"]
    monkeypatch.setattr(completion, "SMALL", 10)
    assert people(str(folder / "g")) == []
