"""Which files below a folder are photographs."""

import os
import socket
from pathlib import Path

import numpy as np
import pytest
from pyarrow import fs

from engine.errors import PhotographsError
from engine.faces.images import LeftOut, find_images, summary
from tests.image_files import coded
from tests.support.other_user import as_no_root

needs_posix = pytest.mark.skipif(os.name != "posix", reason="links, pipes and names of any bytes")


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def put(*names: str, data: bytes = b"\xff\xd8\xff") -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(data)


def found(folder: str = "p") -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_images(Path(folder))]


def test_images_are_found_everywhere_but_in_hidden_places() -> None:
    put("p/a/b/c.png", "p/a/z.jpg", "p/d.webp", "p/.hidden/x.jpg", "p/a/.x.jpg", "p/a/._z.jpg")
    put("p/notes.txt", "p/Thumbs.db", "p/a/IMG_1.MOV", data=b"not a photograph")
    put("p/broken.jpg", data=b"")
    assert found() == ["a/b/c.png", "a/z.jpg", "broken.jpg", "d.webp"]


@pytest.mark.parametrize(
    "ending",
    [
        *("jpg", "JPEG", "jfif", "mpo", "png", "apng", "webp", "gif", "bmp", "tiff", "avif", "heic", "HEIF", "hif", "jp2", "j2k"),
        *("pbm", "pgm", "ppm", "pnm", "tga", "nef", "cr2", "cr3", "arw", "dng", "orf", "rw2", "raf", "jxl", "psd", "ico", "svg"),
    ],
)
def test_an_image_by_its_ending(ending: str) -> None:
    put(f"p/a.{ending}", data=b"whatever it holds")
    assert found() == [f"a.{ending}"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "MPO"])
def test_an_image_by_its_first_bytes(kind: str) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    put("p/IMG_1", "p/a.bak", "p/b.txt", data=coded(kind, picture))
    assert found() == ["IMG_1", "a.bak", "b.txt"]


def test_a_heic_by_its_first_bytes() -> None:
    put("p/IMG_1", data=b"\0\0\0\x1cftypheic\0\0\0\0mif1heic")
    assert found() == ["IMG_1"]


def test_text_is_no_image() -> None:
    put("p/a.txt", data=b"BMW and Opel")
    put("p/b.txt", data=b"P1 bug: it hangs")
    put("p/c", data=b"GIF is a format")
    put("p/d.mp4", data=b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom")
    put("p/e.html", data=b"<!doctype html>")
    assert found() == []


@needs_posix
def test_links_are_followed() -> None:
    put("store/kian/1.jpg", "store/2.jpg", "p/dan/3.jpg")
    Path("p/kian").symlink_to(Path("store/kian").absolute())
    Path("p/younes.jpg").symlink_to(Path("store/2.jpg").absolute())
    assert found() == ["dan/3.jpg", "kian/1.jpg", "younes.jpg"]


@needs_posix
def test_each_folder_is_entered_once() -> None:
    """By its own name, if there is one below the folder; else by the first link."""
    put("store/1.jpg", "p/younes/2.jpg")
    Path("p/a").symlink_to("younes")
    for name in ("kian", "zoe"):
        Path("p", name).symlink_to(Path("store").absolute())
    left: list[LeftOut] = []
    assert find_images(Path("p"), left.append) == [Path("p/kian/1.jpg"), Path("p/younes/2.jpg")]
    assert left == [LeftOut(Path(path), "folders entered already by another way") for path in ("p/a", "p/zoe")]


@needs_posix
def test_loops_end() -> None:
    put("p/a/1.jpg", "p/b/2.jpg")
    Path("p/a/up").symlink_to("..")
    for one in range(12):
        Path(f"p/{one}").mkdir()
        for other in range(12):
            Path(f"p/{one}/{other}").symlink_to(f"../{other}")
    assert found() == ["a/1.jpg", "b/2.jpg"]


@needs_posix
def test_links_that_lead_nowhere() -> None:
    """With an image's ending they become problems; without one nobody knows, and they are told."""
    Path("p").mkdir()
    Path("p/gone.jpg").symlink_to("nowhere.jpg")
    Path("p/itself.jpg").symlink_to("itself.jpg")
    Path("p/kian").symlink_to("/not/mounted/kian")
    left: list[LeftOut] = []
    assert find_images(Path("p"), left.append) == [Path("p/gone.jpg"), Path("p/itself.jpg")]
    assert left == [LeftOut(Path("p/kian"), "links that lead nowhere")]


@needs_posix
def test_pipes_and_sockets_are_not_opened() -> None:
    """They are told by their endings; to open a pipe would wait for ever."""
    Path("p").mkdir()
    for name in ("p/pipe.jpg", "p/pipe"):
        os.mkfifo(name)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("p/socket")
        assert found() == ["pipe.jpg"]


@needs_posix
def test_names_that_are_no_unicode() -> None:
    Path("p").mkdir()
    for name in (b"p/k\xe4thi.jpg", b"p/k\xe4thi"):
        Path(os.fsdecode(name)).write_bytes(coded("GIF", np.zeros((4, 4, 3), np.uint8)))
    assert [os.fsencode(name) for name in found()] == [b"k\xe4thi", b"k\xe4thi.jpg"]


MACHINES = ["@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX", "System Volume Information", "lost+found"]


@pytest.mark.parametrize("name", MACHINES)
def test_folders_that_machines_make_are_left_out_and_told(name: str) -> None:
    put("p/kian/1.jpg", f"p/{name}/1.jpg", f"p/kian/{name}/1.jpg/THUMB.jpg", f"p/{name}/notes.txt")
    put(f"p/{name}/notes.txt", data=b"no image")
    left: list[LeftOut] = []
    assert find_images(Path("p"), left.append) == [Path("p/kian/1.jpg")]
    assert {each.path.as_posix() for each in left} == {f"p/kian/{name}/1.jpg/THUMB.jpg", f"p/{name}/1.jpg"}
    assert {each.why for each in left} == {"images in folders that machines make"}


def test_a_folder_of_a_machine_that_is_named_is_read() -> None:
    put("@eaDir/1.jpg")
    assert found("@eaDir") == ["1.jpg"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of another kind")
def test_only_folders_of_machines_may_be_unreadable() -> None:
    put("p/1.jpg", "p/lost+found/2.jpg", "p/kian/3.jpg")
    Path.cwd().chmod(0o755)
    Path("p/lost+found").chmod(0)

    def look() -> None:
        assert found() == ["1.jpg", "kian/3.jpg"]

    def look_again() -> None:
        with pytest.raises(PhotographsError, match=r"cannot list p/kian: Permission denied"):
            found()

    as_no_root(look)
    Path("p/kian").chmod(0)
    as_no_root(look_again)


def test_what_was_left_out_is_one_line() -> None:
    left = [LeftOut(Path(f"p/@eaDir/{number}.jpg"), "images in folders that machines make") for number in range(1200)]
    assert summary(left) == "left out: images in folders that machines make (1,200, first p/@eaDir/0.jpg)"
    left += [LeftOut(Path("p/kian"), "links that lead nowhere")]
    assert summary(left).endswith(", links that lead nowhere (1, first p/kian)")


def test_a_deep_folder() -> None:
    put("/".join(["p", *"abcdefgh" * 40, "1.jpg"]))
    assert len(found()) == 1


def test_object_storage(store: fs.S3FileSystem, bucket: str) -> None:
    names = ["kian/1.JPG", "kian/2.heic", "kian/.hidden.jpg", "kian/._1.jpg", "@eaDir/1.jpg", "notes.txt"]
    for name in names:
        with store.open_output_stream(f"{bucket}/p/{name}") as stream:
            stream.write(b"\xff\xd8\xff")
    folder = Path(f"s3://{bucket}/p")
    left: list[LeftOut] = []
    assert find_images(folder, left.append) == [folder / "kian/1.JPG", folder / "kian/2.heic"]
    assert [each.path for each in left] == [folder / "@eaDir/1.jpg"]
    store.delete_dir_contents(bucket)
