"""A gallery in Milvus keeps the contract: in an embedded one, and behind Milvus's protocol on a port."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import GalleryError
from engine.workflows.locations import build_gallery
from tests.support.backend_contract import BackendContract
from tests.support.contract import people


class TestEmbedded(BackendContract):
    @pytest.fixture
    def where(self, tmp_path: Path) -> str:
        return f"milvus-lite:{tmp_path / 'm.db'}/g"

    def test_has_no_files(self, where: str, tmp_path: Path) -> None:
        gallery = build_gallery(people(0, 20), where)
        for wanted in (
            gallery.compact,
            lambda: gallery.backup(tmp_path / "copy"),
            gallery.sources,
            lambda: gallery.enrolled,
            lambda: gallery.template_ids,
        ):
            with pytest.raises(GalleryError, match="works on galleries in folders; found milvus-lite:"):
                wanted()
        gallery.close()


class TestServed(BackendContract):
    @pytest.fixture
    def where(self, tmp_path: Path) -> Iterator[str]:
        from milvus_lite.adapter.grpc.server import start_server_in_thread

        server, database, port = start_server_in_thread(data_dir=str(tmp_path / "served"), host="127.0.0.1", port=0)
        yield f"milvus://127.0.0.1:{port}/g"
        server.stop(grace=0)
        database.close()
