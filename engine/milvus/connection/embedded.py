"""milvus-lite, served to this process alone: on a socket in a folder that nobody else may enter, from files that are private.

pymilvus by itself would have it listen on a port of 127.0.0.1, without a token: every user of the machine could read, change and
remove what it holds while it is open.
"""

import atexit
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from engine.errors import GalleryError
from engine.files.atomic_files import keep_private
from engine.milvus.connection.address import Address

# What milvus-lite has in its folder; nothing else there is touched.
_FILES = ("LOCK", "collections", "databases")
_lock = Lock()
_served: dict[Path, "_Served"] = {}


@dataclass(frozen=True)
class _Served:
    server: Any
    database: Any
    uri: str
    socket: str
    process: int


def serve(address: Address) -> str:
    """Where pymilvus connects to for a milvus-lite database, which is opened unless this process has it open.

    Raises:
        GalleryError: milvus-lite is not installed, or cannot open it.
    """
    try:
        from milvus_lite.adapter.grpc.server import start_server_in_thread
    except ImportError as error:
        raise GalleryError(f"{address} needs milvus-lite, which is not installed; pip install 'onek[milvus]'") from error
    folder = Path(address.uri).absolute()
    with _lock:
        if folder not in _served:
            socket = tempfile.mkdtemp(prefix="onek-")
            try:
                folder.mkdir(0o700, exist_ok=True)
                # It is called "lite:0", since what starts it puts a port behind every address.
                server, database, _ = start_server_in_thread(str(folder), f"unix:{socket}/lite", 0)
            except Exception as error:  # milvus-lite raises whatever it trips over in a folder
                shutil.rmtree(socket)
                raise GalleryError(
                    f"{address}: {address.uri} cannot be opened: another process has it open, or it is no folder of "
                    "milvus-lite's; one process at a time may use it"
                ) from error
            _served[folder] = _Served(server, database, f"unix:{socket}/lite:0", socket, os.getpid())
            _private(folder)
        return _served[folder].uri


def release(folder: Path) -> None:
    """Close the database in a folder."""
    with _lock:
        found = _served.pop(folder.absolute(), None)
    if found is not None and found.process == os.getpid():  # a forked one has no part in it
        found.server.stop(grace=2)
        found.database.close()
        shutil.rmtree(found.socket, ignore_errors=True)
        _private(folder)


@atexit.register
def _release_all() -> None:
    for folder in list(_served):
        release(folder)


def _private(folder: Path) -> None:
    """Let only its owner read what lies in a folder of milvus-lite's, which writes files for everybody."""
    keep_private(folder)
    for name in _FILES:
        for file in (folder / name, *(folder / name).rglob("*")):
            if file.exists() and not file.is_symlink():
                keep_private(file)
