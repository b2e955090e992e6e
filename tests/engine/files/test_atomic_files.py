import os
import resource
import signal
from pathlib import Path

import pytest

from engine.errors import OutputError
from engine.files.atomic_files import check_output, whole_file, whole_folder


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with whole_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as temporary:
        temporary.write_text("ha")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_interrupted_folder_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "g"
    with whole_folder(path) as temporary:
        (temporary / "x").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_folder(path) as temporary:
        (temporary / "x").write_text("new")
        raise KeyboardInterrupt
    assert (path / "x").read_text() == "old"
    with whole_folder(path) as temporary:
        (temporary / "x").write_text("new")
    assert (path / "x").read_text() == "new"
    assert os.listdir(tmp_path) == ["g"]


def test_a_refused_write_names_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    """The kernel refuses to let a file grow past a limit, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with (
            pytest.raises(OutputError, match=r"cannot write .*a\.bin: File too large"),
            whole_file(tmp_path / "a.bin") as temporary,
        ):
            temporary.write_bytes(b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert os.listdir(tmp_path) == []


def test_outputs_that_are_refused_before_work(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("")
    with pytest.raises(OutputError, match="exists already.*overwrite=True"):
        check_output(tmp_path / "there", overwrite=False)
    check_output(tmp_path / "there", overwrite=True)
    with pytest.raises(OutputError, match=r"no folder .*gone"):
        check_output(tmp_path / "gone" / "x", overwrite=False)


def test_what_a_killed_process_left_is_tidied(tmp_path: Path) -> None:
    """Killed half-way through a folder, or between the two renames that replace one."""
    for name, inside in ((".g.aaaaaaaa.partial", "g"), (".g.bbbbbbbb.partial", ".replaced")):
        (tmp_path / name / inside).mkdir(parents=True)
        (tmp_path / name / ".alive").touch()
    (tmp_path / ".g.bbbbbbbb.partial" / ".replaced" / "old").write_text("precious")
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "g"):
        raise ZeroDivisionError
    assert (tmp_path / "g" / "old").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["g"]


def test_modes_are_those_of_the_owner_whatever_wrote(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a.txt") as temporary:
        assert temporary.stat().st_mode & 0o777 == 0o600
        temporary.unlink()
        temporary.write_text("as some libraries do")
        temporary.chmod(0o644)
    with whole_folder(tmp_path / "g") as folder:
        (folder / "x").touch(0o644)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("a.txt", "g", "g/x")]
    assert modes == [0o600, 0o700, 0o600]
