"""Searches that `onek evaluate` makes are those of a gallery, and of smaller ones inside it."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.data.synthetic_templates import Population
from engine import Gallery, Templates
from engine.errors import MetricsError
from engine.evaluation.raw import COMPARISONS, SEARCHES, About, read_candidates, read_comparisons, read_searches
from engine.evaluation.searching.gallery_and_probes import search_gallery
from engine.evaluation.searching.labelled_set import search_labelled
from engine.evaluation.splits import sizes
from engine.evaluation.truth import LabelledImages, Probes
from engine.reports.evaluation.evaluated import evaluate
from tests.support.people import crowded

pytestmark = pytest.mark.usefixtures("one_thread")
ABOUT = About((), (), "here", "onek evaluate", {}, 0, 0, 0)


def people(identities: int, images: int, first: int = 0) -> tuple[np.ndarray, list[str]]:
    drawn = Population(crowded())
    vectors = np.concatenate([drawn.templates(first, identities, image) for image in range(images)])
    return vectors, [f"id{first + row % identities}" for row in range(len(vectors))]


def labelled(identities: int = 200, images: int = 2, lost: int = 0) -> LabelledImages:
    vectors, names = people(identities, images)
    templates = Templates.from_vectors(vectors, names, [f"t{row}" for row in range(len(names))])
    known = sorted(set(names))
    codes = np.array([known.index(name) for name in names])
    rows = np.arange(len(names))
    rows[identities : identities + lost] = -1
    return LabelledImages([f"{name}/{row}.jpg" for row, name in enumerate(names)], codes, known, ["drawn"], [templates], [rows])


def test_a_gallery_answers_as_it_always_does_and_smaller_ones_lie_inside(tmp_path: Path) -> None:
    vectors, names = people(120, 2)
    gallery = Gallery.build(Templates.from_vectors(vectors[:120], names[:120], [f"t{row}" for row in range(120)]), tmp_path / "g")
    others = Population(crowded()).templates(5000, 60)
    searched = np.concatenate([vectors[120:], others])
    whose = [*names[120:], *([None] * 60)]
    rows = np.arange(180)
    rows[0] = -1  # the first photograph gave no template
    probes = Probes(
        [f"p{at}" for at in range(180)], whose, searched, np.full(len(searched), np.nan, np.float32), rows, np.zeros(180, bool)
    )
    about = search_gallery(gallery, probes, tmp_path, scores=("local", "plain"), about=ABOUT)
    assert [trial.identities for trial in about.trials if trial.system.endswith("local")] == sizes(120)
    found = read_searches(tmp_path / SEARCHES)
    whole = found.only((found.sizes == 120) & (found.systems == 0))
    answers = gallery.identify(searched[1:])
    assert whole.table["named"].to_pylist()[1:] == [result.candidates[0].identity for result in answers]
    assert whole.scores[1:].tolist() == pytest.approx([result.score for result in answers])
    assert whole.told[1:].tolist() == pytest.approx([result.expected_false_alarms for result in answers], rel=1e-4)
    assert whole.failed.tolist() == [True] + [False] * 179
    assert about.trials[-1].thresholds.keys() | about.trials[-1].refused.keys() == {"0.001", "0.003", "0.01", "0.03", "0.1"}
    limit = next(trial for trial in about.trials if trial.identities == 120).thresholds["0.1"]
    assert limit == pytest.approx(gallery.threshold(fpir=0.1))

    # The first K enrolled are a gallery inside the next larger one, and strangers are the same at each K.
    candidates = read_candidates(tmp_path / SEARCHES, np.flatnonzero((found.sizes == 120) & (found.systems == 1)))
    places = {each["identity"]: each["place"] for listed in candidates for each in listed}
    small = found.only((found.sizes == 30) & (found.systems == 1))
    assert {name for name in small.table["named"].to_pylist() if name} <= {name for name, place in places.items() if place < 30}
    assert int((~small.mated).sum()) == 60
    best = dict(zip(small.table["probe"].to_pylist(), small.scores.tolist(), strict=True))
    for listed, name in zip(candidates, whole.table["probe"].to_pylist(), strict=True):
        inside = [each["score"] for each in listed if each["place"] < 30]
        if inside and name in best:
            assert best[name] == pytest.approx(inside[0], abs=1e-6)


def test_splits_of_a_labelled_set(tmp_path: Path) -> None:
    about = search_labelled(labelled(lost=5), tmp_path, scores=("plain",), splits=2, about=ABOUT)
    found = read_searches(tmp_path / SEARCHES)
    whole = found.only((found.sizes == 150) & (found.splits == 0))
    assert int((~whole.mated).sum()) == 50
    strangers = set(whole.only(~whole.mated).table["identity"].to_pylist())
    assert not strangers & {name for name in whole.table["named"].to_pylist() if name}
    # An image without a template is searched for by nobody, and is counted.
    both = found.only(found.sizes == 150)
    assert 5 <= both.failed.sum() <= 10
    pairs = read_comparisons(tmp_path / COMPARISONS)
    made = evaluate(found, pairs, asked=0.1)
    equal = made.figure("eer", "drawn", 0)
    assert equal is not None
    assert equal.value is not None
    assert equal.value < 0.1
    law, seen = made.of("law@fixed"), made.of("fpir@fixed")
    assert [each.k for each in law] == [each.k for each in seen] == sizes(150)[: len(seen)]
    assert {trial.split for trial in about.trials} == {0, 1}


def test_a_rate_of_ones_own_is_obtained_as_the_usual_ones_are(tmp_path: Path) -> None:
    """Of 3 % the thresholds are kept; where they were not, what each search was told gives the same figures."""
    search_labelled(labelled(images=3), tmp_path, scores=("plain", "local"), splits=3, about=ABOUT)
    found = read_searches(tmp_path / SEARCHES)
    pairs = read_comparisons(tmp_path / COMPARISONS)
    kept = evaluate(found, pairs, asked=0.03)
    for trial in found.about.trials:
        trial.thresholds.pop("0.03", None)
        trial.refused.pop("0.03", None)
    again = evaluate(found, pairs, asked=0.03)
    for system in ("drawn, plain", "drawn, local"):
        for name in ("fpir@asked=0.03", "fnir@asked=0.03"):
            before, now = kept.figure(name, system), again.figure(name, system)
            assert before is not None
            assert now is not None
            assert before.value is not None
            assert (now.value, now.low, now.high) == (before.value, before.low, before.high)
    few = evaluate(found, pairs, asked=0.0015).figure("fpir@asked=0.0015")
    assert few is not None
    assert few.value is None
    assert few.reason.startswith("fpir 0.001: 150 searches of strangers support 0.0034 at the least")


def test_too_few_people_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(MetricsError, match="here: 20 identities; accuracy is measured from 40 on"):
        search_labelled(labelled(identities=20), tmp_path, scores=("plain",), splits=1, about=ABOUT)
    assert list(tmp_path.iterdir()) == []
