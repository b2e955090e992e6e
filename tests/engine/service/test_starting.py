"""What cannot be is refused before anything starts, in one line that names the option."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from benchmarks.service.running import Running, free_port
from engine import Client, Gallery
from engine.errors import EncoderMismatch, GalleryError, OnekError, OutputError
from engine.service.access.listening import listening_at
from engine.service.application import closed, make_service, warmed
from engine.service.galleries import found_galleries
from engine.service.server import checked
from engine.service.settings import Settings
from engine.templates.model import Templates
from tests.support.services import soon

_START = [sys.executable, "-c", "from engine.cli.app import main; main()", "serve"]


def started(*options: object) -> subprocess.CompletedProcess[str]:
    command = [*_START, *map(str, options), "--port", str(free_port())]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


def one_line(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.startswith("onek: ")
    return line


@pytest.fixture
def tls(tmp_path: Path) -> Callable[[str], tuple[str, str]]:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")

    def make(name: str) -> tuple[str, str]:
        cert, key = str(tmp_path / f"{name}.pem"), str(tmp_path / f"{name}.key")
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-out", cert, "-keyout", key]
        subprocess.run(made, check=True, capture_output=True)
        return cert, key

    return make


def test_certificates_and_keys_that_are_none_are_named(
    house: Path, tmp_path: Path, tls: Callable[[str], tuple[str, str]]
) -> None:
    (cert, key), (_, other) = tls("one"), tls("two")
    empty, locked = tmp_path / "empty.pem", tmp_path / "locked.key"
    empty.touch()
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", key, "-out", locked, "-passout", "pass:secret"], check=True, capture_output=True
    )
    checked(Settings(str(house), tls_cert=cert, tls_key=key))
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for given, said in (
        (("nowhere.pem", key), "--tls-cert nowhere.pem: No such file or directory; expected a file in PEM"),
        ((cert, "nowhere.key"), "--tls-key nowhere.key: No such file"),
        ((str(empty), key), f"--tls-cert {empty}: found 0 bytes"),
        ((cert, cert), f"--tls-key {cert}: found .* expected a file in PEM with -----BEGIN PRIVATE KEY"),
        ((cert, other), f"--tls-key {other}: another certificate's"),
        ((cert, str(locked)), f"--tls-key {locked}: the key takes a password"),
        ((str(broken), key), f"--tls-cert {broken}, --tls-key"),
        ((str(tmp_path), key), "Is a directory"),
    ):
        with pytest.raises(GalleryError, match=f"^{said}" if said.startswith("--") else said):
            checked(Settings(str(house), tls_cert=given[0], tls_key=given[1]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"megapixels": float("nan")}, "--max-megapixels nan"),
        ({"rate": float("inf")}, "--rate inf"),
        ({"seconds": float("nan")}, "--timeout nan"),
        ({"body": 0}, "--max-body: found 0 bytes"),
        ({"events_days": 10**9}, "--events: found 1,000,000,000 days"),
        ({"keep": "x", "keep_days": 10**9}, "--keep: found"),
        ({"allowed_hosts": "https://door.example:8443"}, "--allow-host https://door.example:8443: expected a name alone"),
        ({"tokens": "nowhere.toml"}, "--tokens nowhere.toml: there is no such file; onek token add makes one"),
        ({"runtime": "foo"}, "--runtime 'foo': expected opencv, openvino or openvino-half"),
    ],
)
def test_options_that_are_none_are_named(options: dict[str, object], said: str, house: Path) -> None:
    with pytest.raises(OnekError) as refused:
        checked(Settings(str(house), **options))  # type: ignore[arg-type]
    assert str(refused.value).startswith(said)


def test_an_address_that_is_none_is_named() -> None:
    for host in ("nowhere.invalid", "1.2.3.4", "a" * 300):
        with pytest.raises(OutputError, match="--host|cannot listen"), listening_at(Settings("", host=host, port=free_port())):
            raise AssertionError


def test_a_folder_that_may_not_be_entered_is_named(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(GalleryError, match=f"{house.parent}: Permission denied; expected galleries that this user may enter"):
        found_galleries([str(house.parent)])


def test_an_encoder_that_cannot_be_loaded_is_refused_where_pictures_need_it(house: Path, tmp_path: Path) -> None:
    vectors = tmp_path / "vectors"
    Gallery.build(Templates.from_vectors([[1.0, 0.0], [0.0, 1.0]], ["a", "b"]), vectors)

    def warned(*galleries: Path, **named: str) -> list[str]:
        service = make_service(Settings("\n".join(map(str, galleries)), **named))  # type: ignore[arg-type]
        try:
            return warmed(service)
        finally:
            closed(service)

    for galleries in ((house,), (house, vectors)):
        with pytest.raises(OnekError, match=r"^--encoder nope.onnx: there is no file nope.onnx"):
            warned(*galleries, encoder="nope.onnx")
    for option in ("weights", "projection"):
        with pytest.raises(OnekError, match=f"^--{option} nowhere: "):
            warned(house, **{option: "nowhere"})
    with pytest.raises(EncoderMismatch):
        warned(vectors, encoder="nope.onnx")
    assert warned(house, runtime="opencv") == []
    (line,) = warned(house, vectors, runtime="opencv")
    assert line.startswith("gallery vectors takes no pictures: ")
    assert len(warned(vectors, runtime="opencv")) == 1


def test_what_cannot_be_opened_is_one_line_with_several_processes_too(house: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert f"--keep {tmp_path / 'file'}: " in one_line(started(house, "--workers", 2, "--keep", f"{tmp_path / 'file'}:3"))
    assert "--max-body lots: found no size" in one_line(started(house, "--max-body", "lots"))


def test_where_it_is_is_not_said_before_it_is_there(house: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = subprocess.run([*_START, house, "--port", str(port)], capture_output=True, text=True, timeout=90, check=False)
    assert "cannot listen" in one_line(ended)


def test_processes_that_cannot_start_end_the_service(house: Path, tmp_path: Path) -> None:
    """Whatever is taken away once the service has looked: a process that dies is followed by none that dies again and again."""
    log, vectors = tmp_path / "log", tmp_path / "vectors"
    Gallery.build(Templates.from_vectors([[1.0, 0.0], [0.0, 1.0]], ["a", "b"]), vectors)
    with Running(house, vectors, "--workers", 2, "--runtime", "opencv", log=log) as service:
        assert service.process is not None
        workers = [each for each in psutil.Process(service.process.pid).children() if "spawn_main" in " ".join(each.cmdline())]
        house.rename(tmp_path / "away")
        workers[0].kill()
        assert service.process.wait(60) == 2
    said = log.read_text().splitlines()
    assert sum("gallery vectors takes no pictures" in line for line in said) == 1
    assert said[-1] == "onek: a process of --workers could not start, so that all were ended; what it said stands above"
    lines = [line for line in said if not line.startswith("{")]
    assert any(line.startswith("onek: ") and str(house) in line for line in lines)
    assert "Traceback" not in log.read_text()


def test_processes_do_not_outlive_the_one_that_started_them(house: Path) -> None:
    with Running(house, "--workers", 2, "--runtime", "opencv") as service:
        assert service.process is not None
        family = psutil.Process(service.process.pid).children(recursive=True)
        service.process.kill()
        service.process.wait()
        assert soon(lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in family))
        with listening_at(Settings("", port=service.port)):
            pass


def test_what_a_killed_service_left_is_taken_away_by_the_next(
    house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))

    def left() -> list[Path]:
        return sorted((tmp_path / "tmp").glob("onek-serve-*"))

    with Running(house, "--runtime", "opencv") as killed, Running(house, "--runtime", "opencv") as lives:
        killed.kill()
        assert len(left()) == 2
        hour_ago = time.time() - 3600
        for folder in left():
            os.utime(folder, (hour_ago, hour_ago))
        with Running(house, "--runtime", "opencv") as third, Client(lives.url) as client:
            assert len(left()) == 2, "that of the one which was killed is gone, that of the one which lives is not"
            assert client.galleries() == ["house"]
            assert third.end() == 0
        assert lives.end() == 0
    assert left() == []
