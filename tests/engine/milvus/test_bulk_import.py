"""Bulk import: files in the bucket that Milvus reads, against a server that takes them in as Milvus's documentation says."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from engine.errors import GalleryError
from engine.gallery.gallery import Gallery
from engine.milvus.building import build as building
from engine.milvus.building import bulk_import as importing
from engine.milvus.connection.client import TOKEN, MilvusConnection
from engine.workflows.locations import build_gallery, check_gallery
from tests.support.contract import people, probes


@dataclass
class Milvus:
    """The HTTP half of a Milvus whose other half listens at `where`. `asked`: how many files each job had."""

    where: str
    store: fs.S3FileSystem
    bucket: str
    asked: list[int] = field(default_factory=list)
    fails: str = ""
    token: str = "root:secret"  # noqa: S105
    polls: int = 0

    def answer(self, path: str, token: str, said: dict) -> dict:
        if token != f"Bearer {self.token}":
            return {"code": 1800, "message": "user hasn't authenticated"}
        if path.endswith("/create"):
            self.asked.append(len(said["files"]))
            self.polls = 0
            if not self.fails:
                for (key,) in said["files"]:
                    self._take_in(said["collectionName"], key)
            return {"code": 0, "data": {"jobId": "7"}}
        assert path.endswith("/describe")
        assert said == {"jobId": "7"}
        self.polls += 1
        done = {"state": "Failed", "reason": self.fails} if self.fails else {"state": "Completed"}
        return {"code": 0, "data": {"state": "Importing"} if self.polls == 1 else done}

    def _take_in(self, collection: str, key: str) -> None:
        from pymilvus import MilvusClient

        with self.store.open_input_file(f"{self.bucket}/{key}") as file:
            rows = pq.read_table(file).to_pylist()
        MilvusClient(uri=self.where).insert(collection, rows)


@pytest.fixture
def milvus(tmp_path: Path, store: fs.S3FileSystem, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Milvus]]:
    """A gallery's address, and the server there."""
    from milvus_lite.adapter.grpc.server import start_server_in_thread

    server, database, port = start_server_in_thread(data_dir=str(tmp_path / "served"), host="127.0.0.1", port=0)
    one = Milvus(f"http://127.0.0.1:{port}", store, bucket)

    class Http(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps(one.answer(self.path, self.headers["Authorization"], said)).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Http)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    monkeypatch.setenv(importing.BUCKET, f"s3://{bucket}/for milvus")
    monkeypatch.setenv(TOKEN, one.token)
    monkeypatch.setattr(MilvusConnection, "lite", property(lambda _: False))
    monkeypatch.setattr(importing, "_over_http", lambda _: f"http://127.0.0.1:{http.server_port}")
    monkeypatch.setattr(importing, "_PAUSE", 0.01)
    yield f"milvus://127.0.0.1:{port}/g", one
    http.shutdown()
    server.stop(grace=0)
    database.close()


def decides_as_in_a_folder(made: Gallery, tmp_path: Path) -> bool:
    return made.identify(probes()).table.equals(build_gallery(people(0, 60), tmp_path / "folder").identify(probes()).table)


def test_what_milvus_took_in_decides_as_what_was_written_there(milvus, tmp_path, monkeypatch):
    where, server = milvus
    monkeypatch.setattr(building, "_ROWS", 10)
    monkeypatch.setattr(importing, "_BATCHES", 4)
    monkeypatch.setattr(importing, "_FILES", 2)
    made = build_gallery(people(0, 60), where)
    assert server.asked == [2, 1]  # twelve batches in three files
    assert len(made) == 120
    assert decides_as_in_a_folder(made, tmp_path)
    assert check_gallery(where) == []
    below = server.store.get_file_info(fs.FileSelector(server.bucket, recursive=True))
    assert not [each.path for each in below if each.is_file]


def test_who_names_no_bucket_writes_over_the_network(milvus, tmp_path, monkeypatch):
    where, server = milvus
    monkeypatch.delenv(importing.BUCKET)
    assert decides_as_in_a_folder(build_gallery(people(0, 60), where), tmp_path)
    assert server.asked == []


def test_what_goes_wrong_is_said(milvus, monkeypatch):
    where, server = milvus
    server.fails = "no such key"
    with pytest.raises(GalleryError, match=r"did not take in the files in s3://bucket.* \(no such key\); is this the bucket"):
        build_gallery(people(0, 60), where)
    below = server.store.get_file_info(fs.FileSelector(server.bucket, recursive=True))
    assert not [each.path for each in below if each.is_file]
    server.fails, server.token = "", "another"
    with pytest.raises(GalleryError, match="Milvus says to an import: user hasn't authenticated"):
        build_gallery(people(0, 60), where, overwrite=True)
    monkeypatch.setattr(importing, "_over_http", lambda _: "http://127.0.0.1:1")
    with pytest.raises(GalleryError, match="no answer to an import .*; without ONEK_MILVUS_BUCKET none is asked for"):
        build_gallery(people(0, 60), where, overwrite=True)
    monkeypatch.setenv(importing.BUCKET, "here")
    with pytest.raises(GalleryError, match="ONEK_MILVUS_BUCKET is here; expected s3://BUCKET"):
        build_gallery(people(0, 60), where, overwrite=True)


def test_files_that_milvus_took_in_by_half(milvus, monkeypatch):
    where, _ = milvus
    monkeypatch.setattr(Milvus, "_take_in", lambda *_: None)
    with pytest.raises(GalleryError, match="Milvus holds 0 templates of 120 that it was given; build anew"):
        build_gallery(people(0, 60), where)


def test_the_embedded_one_takes_rows_over_the_network(tmp_path, monkeypatch):
    monkeypatch.setenv(importing.BUCKET, "s3://nowhere/at-all")
    made = build_gallery(people(0, 60), f"milvus-lite:{tmp_path / 'm.db'}/g")
    assert decides_as_in_a_folder(made, tmp_path)
    made.close()
