"""A gallery says what is wrong with it, and mends what its rows allow."""

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.errors import GalleryError, OnekError
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import check
from engine.maintenance.repair import repair
from tests.support.galleries import people


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery with local scores, recent, removed and renamed templates, at rest."""
    gallery = Gallery.build(people(0, 60, each=1), tmp_path_factory.mktemp("whole") / "g")
    gallery.enroll(people(100, 104))
    gallery.remove(["id5", "id101"])
    gallery.rename("id6", "six")
    gallery.close()
    return gallery.path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def flip(file: Path, at: int, bit: int) -> None:
    held = bytearray(file.read_bytes())
    held[at] ^= 1 << bit
    file.write_bytes(held)


def test_a_whole_gallery_has_no_fault(whole: Path) -> None:
    assert check(whole) == []


def test_every_file_of_a_gallery_at_rest_is_looked_at(whole: Path) -> None:
    # The -shm file that a reader leaves holds no data: whoever opens the catalogue first makes it anew.
    assert {file.name for file in whole.iterdir() if file.stat().st_size and not file.name.endswith("-shm")} == {
        "catalogue.sqlite",
        "catalogue.sha256",
        "segment-000001.parquet",
        "segment-000001.labels",
        "segment-000001.vectors.npy",
        "segment-000001.index",
        "segment-000001.density.npy",
    }


@pytest.mark.parametrize("name", ["catalogue.sqlite", "catalogue.sha256", ".parquet", ".vectors.npy", ".index", ".density.npy"])
def test_a_flipped_bit_anywhere_is_found(copy: Path, name: str) -> None:
    (file,) = (file for file in copy.iterdir() if file.name.endswith(name))
    random = np.random.default_rng(len(name))
    size = file.stat().st_size
    for at in [0, size - 1, *random.integers(0, size, 30).tolist()]:
        bit = int(random.integers(8))
        flip(file, at, bit)
        faults = check(copy)
        assert [fault for fault in faults if fault.file.name.startswith(("catalogue", file.name))], (at, bit)
        flip(file, at, bit)
    assert check(copy) == []


def test_a_flipped_bit_of_a_recent_template_is_found_without_a_digest(copy: Path) -> None:
    """As after a writer that was killed."""
    (copy / "catalogue.sha256").unlink()
    assert check(copy) == []
    vector = people(103, 104, each=1).vectors[0].tobytes()
    flip(copy / "catalogue.sqlite", (copy / "catalogue.sqlite").read_bytes().index(vector) + 7, 3)
    (fault,) = check(copy)
    assert "id103#0" in fault.what


@pytest.mark.parametrize("name", ["vectors.npy", "index", "density.npy"])
@pytest.mark.parametrize("harm", ["flipped", "cut", "gone"])
def test_what_the_rows_give_is_repaired(copy: Path, name: str, harm: str) -> None:
    before = Gallery.open(copy).identify(people(0, 110, each=1, noise=1), threshold=0.5).table
    file = copy / f"segment-000001.{name}"
    if harm == "flipped":
        flip(file, file.stat().st_size - 5, 6)
    elif harm == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    else:
        file.unlink()
    assert repair(copy)
    assert check(copy) == []
    assert repair(copy) == []
    assert Gallery.open(copy).identify(people(0, 110, each=1, noise=1), threshold=0.5).table.equals(before)


@pytest.mark.parametrize("name", ["segment-000001.parquet", "catalogue.sqlite"])
def test_nothing_else_is_guessed(copy: Path, name: str) -> None:
    flip(copy / name, (copy / name).stat().st_size - 5, 6)
    before = {file.name: file.read_bytes() for file in copy.iterdir() if file.name.startswith("segment")}
    with pytest.raises(GalleryError, match="restore the gallery from a backup; nothing was done"):
        repair(copy)
    assert {file.name: file.read_bytes() for file in copy.iterdir() if file.name.startswith("segment")} == before


def test_what_no_hash_shows(copy: Path) -> None:
    """A catalogue whose hashes agree with files that do not agree with each other."""

    def say(statement: str) -> list[str]:
        with sqlite3.connect(copy / "catalogue.sqlite") as database:
            database.execute(statement)
        database.close()
        (copy / "catalogue.sha256").unlink(missing_ok=True)
        return [fault.what for fault in check(copy)]

    assert any("removed rows do not exist" in fault for fault in say("INSERT INTO removed VALUES ('segment-000001', 4000)"))
    say("DELETE FROM removed WHERE row = 4000")
    assert say("UPDATE segments SET templates = templates + 1")
    say("UPDATE segments SET templates = templates - 1")
    assert say("DELETE FROM removed WHERE row = 4000") == []
    (copy / "notes.txt").write_text("")
    assert say("DELETE FROM removed WHERE row = 4000") == ["it is no file of the gallery's"]


def test_the_command(copy: Path) -> None:
    def say(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return result.exit_code, result.output.strip()

    assert say("check", copy) == (0, f"{copy} is whole")
    flip(copy / "segment-000001.index", 40, 1)
    status, output = say("check", copy)
    assert status == 3
    assert "segment-000001.index" in output.replace("\n", "")
    assert say("check", copy, "--repair")[0] == 0
    assert say("check", copy) == (0, f"{copy} is whole")
    with pytest.raises(OnekError, match="no such gallery"):
        check(copy / "nowhere")
