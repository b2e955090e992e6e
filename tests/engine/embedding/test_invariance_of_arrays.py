"""A recording or a volume gives the same template whatever lies beside it: in any order, batch, thread, process."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from benchmarks.signals.hearts import RATE, draw_heart
from benchmarks.signals.solids import draw_solid
from engine.arrays import Cube, Window
from engine.embedding.embedder import Embedder
from engine.embedding.intake import KINDS
from engine.embedding.outcome import Outcome
from engine.embedding.photographs import Photograph, find_photographs
from engine.encoders import load_encoder
from engine.training.networks import fresh_of_arrays, save
from engine.workflows.ray_workers import SpreadEmbedder, workers_on
from tests.engine.encoders.onnx_networks import DIM, over_arrays
from tests.support.streams import stream_in_any_way

SIGNAL, VOLUME = Window(64, rate=RATE, windows=3), Cube(12)


def write_recordings(folder: Path) -> list[Photograph]:
    """Of many lengths, rates, scales and kinds, some broken."""
    for number in range(24):
        heart = draw_heart(number, 0, seconds=0.3 + number / 3)
        path = folder / f"{number:02}"
        if number % 6 == 1:
            np.save(path, (heart * 1e-6).astype(">f8"))
        elif number % 6 == 2:
            wavfile.write(path.with_suffix(".wav"), 500, np.round(heart * 8000).astype(np.int16))
        elif number % 6 == 3:
            np.savez(path, heart=heart * 1e9, rate=125 * (1 + number % 4))
        elif number % 6 == 4:
            np.save(path, [np.zeros(500), np.full(500, np.nan), heart[:20], heart[:, None].repeat(2, 1)][number // 6])
        else:
            np.save(path, heart)
    return find_photographs([folder], "none", kind=KINDS["signal"])


def write_volumes(folder: Path) -> list[Photograph]:
    """The like."""
    for number in range(18):
        solid = draw_solid(number, 0, 10 + number)
        path = folder / f"{number:02}"
        if number % 4 == 1:
            np.savez(path, solid[: 5 + number // 2], spacing=[2, 1, 1])
        elif number % 4 == 2:
            np.save(path, np.asfortranarray((solid * 1000).astype(np.int16)))
        elif number % 8 == 3:
            np.save(path, np.ones((5, 5, 5)) if number > 3 else solid[0])
        else:
            np.save(path, solid[..., None] * 1e8)
    return find_photographs([folder], "none", kind=KINDS["volume"])


def own_network(folder: Path, chip: Window | Cube, kind: str) -> str:
    if kind == "keras":
        save(fresh_of_arrays(chip), folder / "n.keras")
        return str(folder / "n.keras")
    axes, size = (1, chip.size) if isinstance(chip, Window) else (3, chip.size)
    (folder / "n.onnx").write_bytes(over_arrays(axes, size, 1).SerializeToString())
    said = {"input": chip.modality, "size": size, "dim": DIM}
    said |= {"rate": RATE, "windows": 3} if isinstance(chip, Window) else {}
    (folder / "n.json").write_text(json.dumps(said))
    return str(folder / "n.onnx")


def same(found: list[Outcome], alone: dict[str, Outcome]) -> None:
    for outcome in found:
        before = alone[outcome.photograph.source]
        assert (outcome.problem, outcome.faces, outcome.picture) == (before.problem, before.faces, before.picture)
        np.testing.assert_allclose(outcome.vectors, before.vectors, atol=1e-5)


@pytest.mark.parametrize("kind", ["keras", "onnx"])
@pytest.mark.parametrize(("chip", "write", "broken"), [(SIGNAL, write_recordings, 4), (VOLUME, write_volumes, 2)])
def test_what_lies_beside_an_array_changes_nothing(
    tmp_path: Path,
    chip: Window | Cube,
    write: Callable[[Path], list[Photograph]],
    broken: int,
    kind: str,
) -> None:
    (tmp_path / "files").mkdir()
    files = write(tmp_path / "files")
    embedder = Embedder(load_encoder(own_network(tmp_path, chip, kind)))
    alone = {outcome.photograph.source: outcome for each in files for outcome in embedder.embed_batch([each])}
    assert sum(outcome.problem is not None for outcome in alone.values()) == broken
    stream_in_any_way(embedder, files, partial(same, alone=alone), examples=10)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_neither_does_ray(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    files = write_recordings(tmp_path / "files")
    name = own_network(tmp_path, SIGNAL, "onnx")
    embedder = Embedder(load_encoder(name))
    alone = {outcome.photograph.source: outcome for outcome in embedder.embed_batch(files)}
    with workers_on("ray", 2) as workers:
        same(list(SpreadEmbedder(embedder, partial(load_encoder, name), workers).stream(files[::-1])), alone)
