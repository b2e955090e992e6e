"""`onek serve` as the command that people start: several processes, ended politely and rudely, asked for the worst."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.service.endurance import endure
from benchmarks.service.hostile import bear
from benchmarks.service.running import Running, free_port
from engine import Client, Gallery
from engine.errors import OnekError
from engine.service import add_token
from engine.service.access.listening import listening_at
from engine.service.settings import Settings
from tests.support.services import soon


def test_it_begins_says_what_it_must_and_ends_when_asked(house: Path, tmp_path: Path, pictures: list[bytes]) -> None:
    log = tmp_path / "log"
    with Running(house, "--events", 3, "--runtime", "opencv", log=log) as service, Client(service.url) as client:
        assert client.identify(pictures[0], faces="largest")[0].identity == "person0"
        done: list[str] = []

        def enrol() -> None:
            with suppress(OnekError), Client(service.url) as other:  # the service may be gone before it is asked
                done.append(other.enroll(pictures[10], "ada").identity)

        thread = threading.Thread(target=enrol)
        thread.start()
        time.sleep(0.02)
        assert service.end() == 0
        thread.join()
    said = log.read_text()
    assert f"house at {service.url}" in said
    assert "held up to the camera" in said
    assert "Traceback" not in said
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert any(line["route"].endswith("/identify") and line["status"] == 200 for line in lines)
    assert "person0" not in said
    if done:
        assert "ada" in dict(Gallery.open(house).templates_by_identity())


def test_several_processes_see_each_others_changes(house: Path, pictures: list[bytes]) -> None:
    with Running(house, "--workers", 2, "--rate", 0, "--runtime", "opencv") as service:
        with Client(service.url) as client:
            client.enroll(pictures[10], "ada", template_id="a")

        def seen_by_all() -> bool:
            found = set()
            for _ in range(8):
                with Client(service.url) as client:
                    (row,) = client.identify(pictures[10], faces="largest")
                    found.add(row.identity)
            return found == {"ada"}

        assert soon(seen_by_all)
        assert service.process is not None
        workers = [each for each in psutil.Process(service.process.pid).children() if "spawn_main" in " ".join(each.cmdline())]
        assert len(workers) == 2
        workers[0].kill()
        with Client(service.url) as client:
            for _ in range(5):
                assert client.identify(pictures[10], faces="largest")[0].identity == "ada"
            text = httpx.get(f"{service.url}/metrics", trust_env=False).text
        assert 'onek_decisions_total{decision="identified",gallery="house"}' in text
        assert service.end() == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["nowhere"], "nowhere"),
        (["{house}", "--host", "0.0.0.0"], "--tokens FILE"),  # noqa: S104
        (["{house}", "--keep", "pictures"], "FOLDER:DAYS"),
        (["{house}", "--pad", "no.such:thing"], "--pad no.such:thing"),
        (["{house}", "--challenge", "smile"], "expected turn"),
        (["{house}", "{house}"], "two galleries are called house"),
    ],
)
def test_what_cannot_be_is_one_line(options: list[str], said: str, house: Path) -> None:
    given = [option.format(house=house) for option in options]
    command = [sys.executable, "-c", "from engine.cli.app import main; main()", "serve", *given, "--port", str(free_port())]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert said in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_one_line(house: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OnekError, match="cannot listen"):
            Running(house, port=taken.getsockname()[1], log=house.parent / "log").start()


def test_galleries_of_a_folder_are_told_apart(house: Path, tmp_path: Path, pictures: list[bytes]) -> None:
    import shutil

    shutil.copytree(house, tmp_path / "all" / "north")
    shutil.copytree(house, tmp_path / "all" / "south")
    with Running(tmp_path / "all", "--runtime", "opencv", "--keep", f"{tmp_path / 'kept'}:3") as service:
        with Client(service.url) as client:
            assert client.galleries() == ["north", "south"]
            with pytest.raises(OnekError, match="name one"):
                client.identify(pictures[0])
        with Client(service.url, gallery="south") as south, Client(service.url, gallery="north") as north:
            south.rename("person0", "zero")
            assert south.identify(pictures[0], faces="largest")[0].identity == "zero"
            assert north.identify(pictures[0], faces="largest")[0].identity == "person0"
            kept = list((tmp_path / "kept").glob("*.picture"))
            assert sorted(file.read_bytes() for file in kept) == [pictures[0]] * 2
            assert "zero" not in str(kept)
            assert south.erase("zero").pictures == 1
            assert len(list((tmp_path / "kept").glob("*.picture"))) == 1


def test_killed_again_and_again_it_loses_nothing_acknowledged(tmp_path: Path) -> None:
    made = endure(tmp_path, 8, kill_every=2.5, askers=2, changers=2)
    assert made.kills >= 1
    assert made.acknowledged > 5
    assert made.answers > 20
    assert (made.lost, made.wrong, made.faults) == (0, 0, 0)


@pytest.mark.slow
def test_a_minute_of_kills(tmp_path: Path) -> None:
    made = endure(tmp_path, 60, kill_every=10)
    assert made.kills >= 4
    assert (made.lost, made.wrong, made.faults) == (0, 0, 0)


@pytest.mark.parametrize("tokens", [pytest.param(False, marks=pytest.mark.slow), True])
def test_hostile_requests_are_borne(house: Path, tmp_path: Path, pictures: list[bytes], tokens: bool) -> None:
    file = tmp_path / "tokens.toml"
    token = add_token(file, "admin") if tokens else None
    made = bear(house, 120, pictures[0], tokens=file if tokens else None, token=token, log=tmp_path / "log", seed=int(tokens))
    assert made.requests == 120
    assert made.alive
    assert made.tracebacks == 0
    assert 500 not in made.statuses
    assert made.statuses[422] > 10
    assert made.late < 1.2 * made.early


def test_answers_are_sent_at_once() -> None:
    """Without TCP_NODELAY the second packet of an answer waits for the client's acknowledgement, which comes after 40 ms."""
    seen: list[int] = []

    class Noting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            seen.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()  # type: ignore[attr-defined]

    async def connect() -> None:
        with listening_at(Settings("", port=free_port())) as listening:
            server = await asyncio.get_running_loop().create_server(Noting, sock=listening)
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            await reader.read()
            writer.close()
            server.close()

    asyncio.run(connect())
    assert seen
    assert seen[0]
