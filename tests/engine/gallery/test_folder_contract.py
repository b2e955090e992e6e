"""A gallery in a folder keeps the contract; in a copy of one that lies elsewhere nothing is changed."""

from pathlib import Path

import pytest

from engine.errors import GalleryError
from engine.gallery.folder import FolderBackend
from engine.gallery.gallery import Gallery
from tests.support.backend_contract import BackendContract
from tests.support.contract import PEOPLE, name_of, people, probes


class TestFolder(BackendContract):
    @pytest.fixture
    def where(self, tmp_path: Path) -> str:
        return str(tmp_path / "g")

    def test_a_copy_is_only_read(self, where: str) -> None:
        original = Gallery.build(people(0, PEOPLE), where)
        copy = Gallery(FolderBackend(Path(where), "s3://bucket/g"))
        assert (copy.address, copy.capabilities.changes, original.capabilities.changes) == ("s3://bucket/g", False, True)
        assert [each.identity for each in copy.identify(probes())] == [each.identity for each in original.identify(probes())]
        for change in (
            lambda: copy.enroll("no/such/photographs"),  # refused before anybody looks for them
            lambda: copy.enroll(people(PEOPLE, 1)),
            lambda: copy.remove(name_of(8)),
            lambda: copy.rename(name_of(8), "x"),
            copy.calibrate,
            copy.compact,
        ):
            with pytest.raises(GalleryError, match="s3://bucket/g lies in object storage, where a gallery is only read"):
                change()
        assert not original.refresh()
