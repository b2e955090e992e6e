"""Labelled templates for a benchmark: read from files, or made of photographs once and kept beside the results."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.data.degraded_photographs import Degrade, degraded
from engine.cli.console import progress
from engine.common.concurrency import batched
from engine.embedding.embedder import Embedder
from engine.embedding.outcome import to_batch
from engine.embedding.photographs import Photograph, find_photographs
from engine.encoders import load_encoder
from engine.errors import MetricsError, PhotographsError
from engine.files.atomic_files import whole_file
from engine.templates.model import Templates
from engine.templates.parquet import TemplateWriter, read_templates
from engine.workflows.embed_files import embed_to_file


def labelled(
    photos: Path | None, templates: Sequence[Path], encoders: Sequence[str], out: Path, least: int = 1
) -> Iterator[Templates]:
    """The templates of each file, or of the photographs by each encoder, kept as `out/templates-ENCODER.parquet`.

    Photographs of fewer than `least` people are refused before they are embedded.

    Raises:
        PhotographsError: neither photographs nor templates were named, or both were.
        MetricsError: too few people.
    """
    if (photos is None) == (not templates):
        raise PhotographsError("expected --photos FOLDER or --templates T.parquet, and not both")
    for path in templates:
        yield read_templates(path)
    if photos is not None:
        photographs = find_photographs([photos], "folder")
        if (people := len({photograph.identity for photograph in photographs})) < least:
            raise MetricsError(f"{photos}: {people} identities; this is measured from {least} on")
        for encoder in encoders:
            yield embedded(photographs, encoder, out / f"templates-{encoder}.parquet")


def embedded(photographs: Sequence[Photograph], encoder: str, path: Path, degrade: Degrade | None = None) -> Templates:
    """Templates of photographs, made worse on the way if so wanted; made once and read from `path` afterwards."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        embedder = Embedder(load_encoder(encoder, photographs=len(photographs)))
        with progress(f"embedding {path.stem}"[:22], len(photographs)) as done:
            if degrade is None:
                embed_to_file(photographs, embedder, path, resume=True, progress=done)
            else:
                _embed_degraded(photographs, embedder, path, degrade, done)
    return read_templates(path)


def _embed_degraded(
    photographs: Sequence[Photograph], embedder: Embedder, path: Path, degrade: Degrade, done: Callable[[int], None]
) -> None:
    with whole_file(path) as temporary, TemplateWriter(temporary, embedder.provenance) as writer:
        for outcomes in batched(embedder.stream(degraded(photographs, degrade), done), 256):
            writer.write(to_batch(outcomes, embedder.provenance))
