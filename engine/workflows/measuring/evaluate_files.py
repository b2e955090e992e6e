"""Measure, from files to a folder: a gallery and probes whose truth is known, or one labelled set, or two systems on one set."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from engine.calibration.calibration import default_score
from engine.errors import GalleryError, MetricsError
from engine.evaluation.raw import COMPARISONS, SEARCHES, About, read_comparisons, read_searches
from engine.evaluation.searching.gallery_and_probes import search_gallery
from engine.evaluation.searching.labelled_set import search_labelled
from engine.evaluation.searching.trials import scores_of
from engine.evaluation.truth import (
    LabelledImages,
    Probes,
    probes_of,
    read_demographic_groups,
    read_failures,
    read_labelled,
    read_truth,
)
from engine.files.atomic_files import whole_file
from engine.gallery.gallery import Gallery
from engine.inspection.label_audit import Finding, audit
from engine.matching.scoring import PLAIN
from engine.reports.evaluation.evaluated import Evaluation, evaluate
from engine.reports.evaluation.folder import prepare, versions, write_evaluation
from engine.reports.markup import Markup
from engine.reports.sheets.mistakes import SourceOf, mistake_pictures
from engine.templates.model import Templates
from engine.templates.parquet import is_template_file, read_templates
from engine.templates.provenance import require_same
from engine.workflows.locations import open_files

if TYPE_CHECKING:
    from engine.embedding.embedder import Embedder

Said = Callable[[str], None]
# Templates of one set above which nobody looks for label errors unasked.
_AUDITED = 50_000


@dataclass(frozen=True)
class Asked:
    """What a report is to be about: the rate, the list of `groups`, and whether the pictures of mistakes are shown, below the
    folder `photos`; and the `command`, in words.
    """

    fpir: float = 0.01
    groups: Path | None = None
    pictures: bool = False
    photos: Path | None = None
    command: str = "onek evaluate"

    def files(self) -> list[Path]:
        """What is read beside the inputs."""
        return [path for path in (self.groups, self.photos) if path is not None]


def evaluate_gallery(
    where: str,
    probes: Sequence[Path],
    out: Path,
    asked: Asked,
    *,
    truth: Path | None = None,
    scores: Sequence[str] = (),
    encoder: str | None = None,
    overwrite: bool = False,
    said: Said | None = None,
) -> Evaluation:
    """Search a gallery for probes, a template file or photographs, and write the report to the folder `out`.

    Raises:
        OnekError: as `search_gallery` and the readers of what is named.
    """
    before = prepare(out, [Path(where), *probes, *([truth] if truth else []), *asked.files()], overwrite)
    gallery = open_files(where, "evaluate")
    known = None if truth is None else read_truth(truth)
    if any(is_template_file(path, gallery.provenance.modality) for path in probes):
        if len(probes) > 1:
            raise MetricsError(
                f"{len(probes)} inputs with a template file among them; expected one template file, or photographs"
            )
        templates, failures = read_templates(probes[0]), read_failures(probes[0])
    else:
        templates, failures = _embedded(gallery.embedder(encoder=encoder), probes, said)
    require_same(gallery.provenance, templates.provenance, where, str(probes[0]))
    placed: Probes = probes_of(templates, failures, known, str(probes[0]))
    chosen = scores_of(scores, gallery.scoring.score)
    about = _about(asked, f"{where} and {probes[0]}", gallery.identity_count, len(placed), int((placed.rows < 0).sum()))
    search_gallery(gallery, placed, out, scores=chosen, about=replace(about, unplaced=int(placed.unplaced.sum())), said=said)
    findings = audit(gallery) if len(gallery) <= _AUDITED else []
    return _reported(out, asked, before, findings, lambda: _sources_of(gallery))


def evaluate_labelled(
    files: Sequence[Path],
    out: Path,
    asked: Asked,
    *,
    splits: int = 10,
    scores: Sequence[str] = (),
    overwrite: bool = False,
    said: Said | None = None,
) -> Evaluation:
    """Split labelled templates, of one system or of several on the same photographs, and write the report to the folder `out`.

    Raises:
        OnekError: as `search_labelled` and `engine.evaluation.truth.read_labelled`.
    """
    before = prepare(out, [*files, *asked.files()], overwrite)
    people = read_labelled(files)
    own = default_score(len(people.names))
    # Of several systems each is told by one score, unless more are asked for.
    chosen = scores_of(scores or ((own,) if len(files) > 1 else ()), own)
    about = _about(asked, " and ".join(map(str, files)), len(people.names), len(people.images), people.failures)
    search_labelled(
        people, out, scores=chosen, splits=splits, about=replace(about, unplaced=int((people.codes < 0).sum())), said=said
    )
    return _reported(out, asked, before, _audited(people), lambda: _sources_in(people))


def report_again(searches: Path, out: Path, asked: Asked, *, overwrite: bool = False) -> Evaluation:
    """Make figures of raw searches anew, for another rate or other groups, and write them to the folder `out`.

    Raises:
        MetricsError: they are no searches of onek evaluate.
        OutputError: as `engine.reports.evaluation.folder.prepare`.
    """
    before = prepare(out, [searches, *asked.files()], overwrite)
    read_searches(searches)  # which refuses what is none, before anything is copied
    if out.resolve() != searches.parent.resolve():
        for name in (SEARCHES, COMPARISONS):
            if (searches.parent / name).exists():
                with whole_file(out / name) as temporary:
                    temporary.write_bytes((searches.parent / name).read_bytes())
    return _reported(out, asked, before, [], lambda: lambda _: None)


def _reported(
    out: Path, asked: Asked, before: dict[str, object] | None, findings: Sequence[Finding], sources: Callable[[], SourceOf]
) -> Evaluation:
    groups = None if asked.groups is None else read_demographic_groups(asked.groups)
    searched = read_searches(out / SEARCHES)
    made = evaluate(searched, read_comparisons(out / COMPARISONS), asked=asked.fpir, groups=groups)
    made = replace(made, findings=tuple(findings), about=replace(made.about, command=asked.command, notes=_notes(made.about)))
    pictures = mistake_pictures(made, out / SEARCHES, sources(), asked.photos) if asked.pictures else Markup("")
    write_evaluation(out, made, before, pictures, datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"))
    return made


def _about(asked: Asked, source: str, identities: int, images: int, failures: int) -> About:
    return About((), (), source, asked.command, versions(), identities, images, failures)


def _notes(about: About) -> tuple[str, ...]:
    if not about.unplaced:
        return ()
    return (
        f"Of {about.unplaced:,} images without a template nobody says whose they are: they are taken for "
        f"mated searches that missed, "
        "which is the worst that they can be.",
    )


def _embedded(embedder: "Embedder", probes: Sequence[Path], said: Said | None) -> tuple[Templates, list[str]]:
    """Templates of photographs, made and let through as `identify` does, and the photographs that gave none."""
    from engine.embedding.in_memory import embed_images

    if said:
        said("embedding the photographs")
    made = embed_images(list(probes), embedder.encoder, faces=embedder.faces)
    return made.templates, [problem.source for problem in made.problems]


def _sources_of(gallery: Gallery) -> SourceOf:
    known = dict(zip(gallery.template_ids.to_pylist(), gallery.sources().to_pylist(), strict=False))
    return known.get


def _sources_in(people: LabelledImages) -> SourceOf:
    known: dict[str, str | None] = {}
    for templates in reversed(people.templates):
        known.update(zip(templates.table["template_id"].to_pylist(), templates.table["source"].to_pylist(), strict=True))
    return known.get


def _audited(people: LabelledImages) -> list[Finding]:
    """Likely label errors of a labelled set: those that a gallery of it has."""
    templates = people.templates[0]
    if len(templates) > _AUDITED:
        return []
    with tempfile.TemporaryDirectory() as folder:
        try:
            gallery = Gallery.build(templates, Path(folder) / "gallery", score=PLAIN)
        except GalleryError:
            return []
        found = audit(gallery)
        gallery.close()
    return found
