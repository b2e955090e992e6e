"""What embedding is announced to take beside what it took: that both are measured, not how fast this machine is."""

from pathlib import Path

import pytest

from benchmarks.faces.announced import measure_embedding
from engine.cli.shell import lines
from engine.errors import PhotographsError


def test_embedding_is_announced_and_measured(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "FIRST", 0.0)
    files = sorted(photos.iterdir())
    made = measure_embedding(files, 12, tmp_path / "out")
    assert made.photographs == 12
    assert min(made.looked, made.taken) > 0
    assert made.announced >= 0  # 0 where all came at once
    with pytest.raises(PhotographsError, match="no photographs"):
        measure_embedding([], 12, tmp_path / "out")
    monkeypatch.setattr(lines, "FIRST", 1e9)
    with pytest.raises(PhotographsError, match="too little to announce"):
        measure_embedding(files, 2, tmp_path / "out")
