"""A service of galleries that lie in no folder of this machine: in Milvus, and in object storage."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from engine import Client
from engine.errors import GalleryError
from engine.service.settings import Settings
from engine.workflows.locations import build_gallery, open_gallery
from tests.support.contract import people
from tests.support.services import soon


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    from milvus_lite.adapter.grpc.server import start_server_in_thread

    server, database, port = start_server_in_thread(data_dir=str(tmp_path / "served"), host="127.0.0.1", port=0)
    yield f"milvus://127.0.0.1:{port}/g"
    server.stop(grace=0)
    database.close()


@pytest.fixture(params=["served", "embedded"])
def milvus(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.getfixturevalue("server") if request.param == "served" else f"milvus-lite:{tmp_path / 'm.db'}/g"


def test_a_gallery_in_milvus_is_asked_and_changed(
    milvus: str, serve: Callable[[Settings], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = people(0, 20)
    build_gallery(made, milvus).close()
    url = serve(Settings(milvus, events_days=3, rate=0))
    names = made.table["identity"].to_pylist()
    with Client(url) as client:
        assert client.galleries() == ["g"]
        found = client.identify(made.vectors[:3], threshold=0.5)
        assert [answer.identity for answer in found] == names[:3]
        vector = np.random.default_rng(1).normal(size=made.vectors.shape[1])
        assert client.enroll(vector, "ada", template_id="first").created
        assert not client.enroll(vector, "ada", template_id="first").created
        assert client.identify(vector[None], threshold=0.1)[0].identity == "ada"
        assert client.rename("ada", "lovelace") == 1
        assert client.template_ids("lovelace") == ["first"]
        assert [event["identity"] for event in client.events()][-1] == names[0]
        with pytest.raises(GalleryError, match="g lies in no folder: remove takes somebody out of it"):
            client.erase("lovelace")
        assert client.remove("lovelace") == 1
        assert client.identify(vector[None], threshold=0.1)[0].identity is None
        assert (client.info()["identities"], client.check()) == (20, [])
        compacted = httpx.post(f"{url}/v1/galleries/g/compact", trust_env=False, timeout=60)
        assert (compacted.status_code, compacted.json()["error"]["code"]) == (409, "gallery_error")
    assert (tmp_path / "g.events.sqlite").is_file()


def test_what_others_change_in_milvus_is_seen(server: str, serve: Callable[[Settings], str]) -> None:
    made = people(0, 20)
    build_gallery(made, server).close()
    name = made.table["identity"][0].as_py()
    with Client(serve(Settings(server, rate=0))) as client:
        assert client.identify(made.vectors[:1], threshold=0.5)[0].identity == name
        beside = open_gallery(server)
        beside.rename(name, "another")
        beside.close()
        assert soon(lambda: client.identify(made.vectors[:1], threshold=0.5)[0].identity == "another")


def test_a_gallery_in_object_storage_is_only_asked(
    store: object, bucket: str, serve: Callable[[Settings], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made, where = people(0, 20), f"s3://{bucket}/g"
    build_gallery(made, where)
    name = made.table["identity"][0].as_py()
    with Client(serve(Settings(where, events_days=3, rate=0))) as client:
        assert client.galleries() == ["g"]
        assert client.identify(made.vectors[:1], threshold=0.5)[0].identity == name
        assert client.check() == []
        assert client.info()["identities"] == 20
        for change in (
            lambda: client.enroll(made.vectors[0], "ada"),
            lambda: client.rename(name, "ada"),
            lambda: client.remove(name),
            lambda: client.erase(name),
        ):
            with pytest.raises(GalleryError, match="lies in object storage, where a gallery is only read"):
                change()
        assert client.identify(made.vectors[:1], threshold=0.5)[0].identity == name
    assert (tmp_path / "g.events.sqlite").is_file()
