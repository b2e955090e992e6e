"""Every example of the documentation in Python runs, on drawn people, page by page."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.data.drawn_people import picture_of
from engine.embedding.embedder import Embedder
from engine.embedding.photographs import find_photographs
from engine.encoders import Encoder
from engine.workflows.embed_files import embed_to_file
from tests.support.pages import ROOT, blocks, name_of, pages
from tests.support.searches import drawn, written


def runnable(page: Path) -> str:
    """The examples of a page, behind each other: each goes on where those above it end."""
    return "\n".join(block.text for block in blocks(page) if block.language == "python" and block.runs)


PAGES = [page for page in pages() if runnable(page)]


@pytest.fixture
def folder(photos: Path, drawn_again: list[np.ndarray], save, sface: Encoder, tmp_path: Path) -> Path:
    """What the examples take for granted: `photos/`, somebody at the door who is in it, templates of probes, and searches."""
    save(drawn_again[0], "door.jpg")
    save(picture_of(100, 0), "probes/stranger.jpg")
    save(drawn_again[1], "probes/person1.jpg")
    embed_to_file(find_photographs([tmp_path / "probes"]), Embedder(sface), tmp_path / "probes.parquet")
    written(drawn(), tmp_path / "report")
    return tmp_path


def test_there_are_examples() -> None:
    assert {"README.md", "docs/guides/library.md", "docs/errors.md"} <= {name_of(page) for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples_run(page: Path, folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error:::engine"}
    done = subprocess.run(
        [sys.executable, "-c", runnable(page)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
