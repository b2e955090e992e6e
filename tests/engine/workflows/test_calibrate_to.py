"""Probes of another kind than a gallery was calibrated for: told, and calibrated for."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.gallery.gallery import Gallery
from tests.support.galleries import people
from tests.support.qualities import worth


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A gallery of 600 people whose pictures are worth anything; probes that are as good, and bad ones."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    Gallery.build(worth(people(0, 600), random.uniform(0.001, 1, 1200).tolist()), "g")
    strangers = people(700, 900)
    pq.write_table(worth(strangers, random.uniform(0.001, 1, 400).tolist()).table, "like.parquet")
    pq.write_table(worth(strangers, random.uniform(0.001, 0.25, 400).tolist()).table, "bad.parquet")
    return tmp_path


def say(status: int, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["identify", *arguments, "-g", "g", "-o", "r.csv", "--overwrite"])
    assert result.exit_code == status, (result.output, result.exception)
    return str(result.output)


@pytest.mark.usefixtures("here")
def test_unlike_probes_are_told_and_calibrated_for() -> None:
    assert "warning" not in say(0, "like.parquet")
    told = say(0, "bad.parquet")
    assert "warning: the quality of the probes" in told
    assert "--calibrate-to probes" in told
    assert "warning" not in say(0, "bad.parquet", "--threshold", "0.1")
    before = Gallery.open("g").threshold()
    calibrated = say(0, "bad.parquet", "--calibrate-to", "probes")
    assert "warning" not in calibrated
    used = [next(line for line in each.splitlines() if line.startswith("threshold")) for each in (told, calibrated)]
    assert used[0] != used[1]
    assert Gallery.open("g").threshold() == before


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("bad.parquet", "--calibrate-to", "strangers"), "expected probes"),
        (("picture.jpg", "--calibrate-to", "probes"), "takes a template file"),
        (("unknown.parquet", "--calibrate-to", "probes"), "not known of these"),
    ],
)
def test_what_cannot_be_calibrated_to_is_refused(arguments: tuple[str, ...], why: str) -> None:
    pq.write_table(people(700, 800).table, "unknown.parquet")
    result = CliRunner().invoke(app, ["identify", *arguments, "-g", "g", "-o", "r.csv"])
    assert why in str(result.exception)
    assert not Path("r.csv").exists()


def test_a_gallery_of_bad_pictures_is_told_when_it_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bad = worth(people(0, 60), np.random.default_rng(1).uniform(0.0005, 0.2, 120).tolist())
    pq.write_table(bad.table, "bad.parquet")
    said = CliRunner().invoke(app, ["build-index", "bad.parquet", "-o", "g"]).output
    assert "warning: of half of the enrolled pictures less than" in said
