"""Copies of a gallery, and several made one."""

import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.errors import EncoderMismatch, GalleryError, OutputError, TemplatesError
from engine.gallery.gallery import Gallery
from engine.maintenance.backup import backup
from engine.maintenance.integrity import check
from tests.support.galleries import names, people, same_answers


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    made = Gallery.build(people(0, 20), tmp_path / "g", score="plain")
    made.enroll(people(20, 30))
    made.remove(["id3"])
    return made


def test_a_copy_is_the_gallery_of_that_moment(gallery: Gallery, tmp_path: Path) -> None:
    gallery.backup(tmp_path / "copy")
    copy = Gallery.open(tmp_path / "copy")
    same_answers(copy, gallery)
    gallery.remove(["id25"])
    gallery.compact()
    copy.enroll(people(40, 41))
    assert names(copy, 25, 26) == ["id25"]
    assert names(gallery, 40, 41) == [None]
    copy.close()
    assert check(tmp_path / "copy") == []
    assert check(gallery.path) == []
    with pytest.raises(OutputError, match="exists already"):
        gallery.backup(tmp_path / "copy")
    gallery.backup(tmp_path / "copy", overwrite=True)
    assert Gallery.open(tmp_path / "copy").identities == gallery.identities


def test_copies_made_while_others_write_are_whole(gallery: Gallery, tmp_path: Path) -> None:
    over = threading.Event()
    done: list[int] = []

    def write() -> None:
        writer = Gallery.open(gallery.path)
        for number in range(100, 10_000):
            if over.is_set():
                break
            writer.enroll(people(number, number + 1))
            if number % 7 == 0:
                writer.compact()
            done.append(number)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(10):
            copy = tmp_path / f"copy{number}"
            acknowledged = len(done)
            gallery.backup(copy)
            assert check(copy) == []
            found = Gallery.open(copy).identities
            # Every enrolment that was acknowledged before, in their order, and none half.
            joined = sorted(int(name[2:]) for name in found if int(name[2:]) >= 100)
            assert joined == list(range(100, 100 + len(joined)))
            assert len(joined) >= acknowledged
    finally:
        over.set()
        thread.join()
    assert len(done) > 10


def test_galleries_made_one(gallery: Gallery, tmp_path: Path) -> None:
    other = Gallery.build(people(28, 60, each=1, prefix="other"), tmp_path / "other")
    made = Gallery.merge([gallery.path, other.path], tmp_path / "both")
    assert len(made) == len(gallery) + len(other)
    assert made.identities == sorted([*gallery.identities, *other.identities])
    assert made.info().score == "plain"  # as the first one was asked for
    assert check(made.path) == []
    with pytest.raises(TemplatesError, match=r"template id id0#0 comes in .*g and again in .*both"):
        Gallery.merge([gallery.path, made.path], tmp_path / "twice")
    again = Gallery.merge([gallery.path, made.path], tmp_path / "twice", on_duplicate="skip")
    assert again.identities == made.identities
    assert len(again) == len(made)
    with pytest.raises(EncoderMismatch):
        Gallery.merge([gallery.path, Gallery.build(people(0, 9, dim=24), tmp_path / "d").path], tmp_path / "never")
    with pytest.raises(GalleryError, match="no such gallery"):
        Gallery.merge([gallery.path, tmp_path / "nowhere"], tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_the_commands(gallery: Gallery, tmp_path: Path) -> None:
    def say(*arguments: object) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result
        return result.output.replace("\n", "")

    with pytest.raises(GalleryError, match="nowhere: no such gallery"):
        backup(tmp_path / "nowhere", tmp_path / "never")
    assert not (tmp_path / "never").exists()
    assert "copied to" in say("backup", gallery.path, tmp_path / "copy")
    Gallery.build(people(50, 60, prefix="other"), tmp_path / "other")
    assert "78 templates of 39 identities" in say("merge", tmp_path / "copy", tmp_path / "other", "-o", tmp_path / "both")
