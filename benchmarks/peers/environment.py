"""Install a peer on demand, and talk to it while it runs in its own process."""

import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.encoders.openface.weights import cache_folder
from engine.errors import OnekError

# `face_recognition_models` imports pkg_resources, which newer setuptools lack.
_FACES = ("setuptools<81", "wheel", "numpy", "pillow", "click", "face_recognition_models", "cmake")


class PeerError(OnekError):
    """A peer could not be installed, or it stopped."""


@dataclass(frozen=True)
class PeerKind:
    """How a peer is installed: `first` what a build needs, `packages` with dependencies, `alone` without, `options` for pip."""

    name: str
    packages: tuple[str, ...]
    first: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


# The wheel that most people install; and dlib built here, which finds OpenBLAS if its headers are installed (libopenblas-dev).
KINDS = {
    "dlib-wheel": PeerKind("dlib-wheel", ("dlib-bin",), _FACES, ("face_recognition",)),
    "dlib-built": PeerKind(
        "dlib-built", ("dlib",), _FACES, ("face_recognition",), ("--no-binary", "dlib", "--no-build-isolation")
    ),
    "graphs": PeerKind("graphs", ("numpy", "hnswlib", "usearch")),
}


def peer_python(kind: PeerKind) -> Path:
    """The Python of a peer's environment, which is made in the user's cache the first time (a build of dlib takes 15 minutes).

    Raises:
        PeerError: pip failed; with the end of what it said.
    """
    folder = cache_folder() / "peers" / kind.name
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        venv.create(folder, with_pip=True, clear=True)
        if kind.first:
            _pip(python, [*kind.first])
        _pip(python, [*kind.options, *kind.packages])
        if kind.alone:
            _pip(python, ["--no-deps", *kind.alone])
        ready.touch()
    return python


def _pip(python: Path, arguments: list[str]) -> None:
    # A build looks for the environment's own cmake on the path.
    environment = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [str(python), "-m", "pip", "install", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise PeerError(f"pip install {' '.join(arguments)} failed: {done.stderr.strip()[-800:]}")


class Peer:
    """A running peer: a script that says one line of JSON when it is ready, and one for each line that it is sent."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.about = self._read()

    def ask(self, question: str = "go") -> Any:
        """Send a line, and wait for the answer."""
        if self._process.stdin is not None:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise PeerError(f"the peer stopped with exit status {self._process.wait()}")
        return json.loads(line)


@contextmanager
def running(python: Path, script: str, *arguments: str) -> Iterator[Peer]:
    """Start a script of this folder in a peer's environment, and stop it when the block ends."""
    command = [str(python), "-W", "ignore", str(Path(__file__).with_name(script)), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr, text=True, env=environment
    ) as process:
        try:
            yield Peer(process)
        finally:
            process.terminate()
