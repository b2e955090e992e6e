"""A gallery in a folder keeps the contract."""

from pathlib import Path

import pytest

from tests.support.backend_contract import BackendContract


class TestFolder(BackendContract):
    @pytest.fixture
    def where(self, tmp_path: Path) -> str:
        return str(tmp_path / "g")
