"""The contract of every place for galleries: whoever adds one inherits its tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine.errors import EncoderMismatch, GalleryError, NameRefused, OutputError, TemplatesError
from engine.gallery.gallery import Gallery
from engine.templates.model import Templates
from engine.templates.provenance import Provenance
from engine.workflows.locations import build_gallery, check_gallery, open_gallery
from tests.support.contract import DIM, MADE, PEOPLE, STRANGE, name_of, people, probes, strangers
from tests.support.qualities import worth


def same_decisions(one: Gallery, other: Gallery, **options: object) -> None:
    """Probe by probe: who, how far, how alike, and the whole list of candidates."""
    for vectors in (probes(), strangers()):
        mine, theirs = one.identify(vectors, **options), other.identify(vectors, **options)  # type: ignore[arg-type]
        assert [(each.decision, each.identity) for each in mine] == [(each.decision, each.identity) for each in theirs]
        for a, b in zip(mine, theirs, strict=True):
            assert [c.identity for c in a.candidates] == [c.identity for c in b.candidates]
            assert [c.template_id for c in a.candidates] == [c.template_id for c in b.candidates]
            assert [c.distance for c in a.candidates] == pytest.approx([c.distance for c in b.candidates], abs=1e-6)
            assert [c.score for c in a.candidates] == pytest.approx([c.score for c in b.candidates], rel=1e-4, abs=1e-6)
            assert a.threshold == pytest.approx(b.threshold, rel=1e-5)
            assert a.expected_false_alarms == pytest.approx(b.expected_false_alarms, rel=1e-3, abs=1e-6)


class BackendContract:
    """What a gallery does, wherever it lies. The tests of a place inherit this; their fixture `where` is where one is made."""

    @pytest.fixture
    def both(self, where: str, tmp_path: Path) -> Iterator[Callable[..., tuple[Gallery, Gallery]]]:
        """The same gallery twice: at `where`, and in a folder to compare it with."""
        made: list[Gallery] = []

        def build(templates: Templates, **options: object) -> tuple[Gallery, Gallery]:
            one = build_gallery(templates, where, **options)  # type: ignore[arg-type]
            other = Gallery.build(templates, tmp_path / "compared", **options)  # type: ignore[arg-type]
            made.append(one)
            return one, other

        yield build
        for each in made:
            each.close()

    @pytest.mark.parametrize(
        "options",
        [{}, {"score": "plain"}, {"fuse": 2}, {"index": "flat", "score": "local"}],
        ids=["local", "plain", "fused", "flat"],
    )
    def test_decides_as_a_folder_does(self, both, options):
        one, other = both(people(0, PEOPLE), **options)
        assert (len(one), one.identity_count) == (2 * PEOPLE, PEOPLE)
        same_decisions(one, other)
        same_decisions(one, other, fpir=0.1, top=1)
        same_decisions(one, other, threshold=0.9, top=100)
        accepted = one.identify(probes())
        assert sum(each.identity == name_of(at) for at, each in enumerate(accepted)) > 50

    def test_lives_as_a_folder_does(self, both, where):
        one, other = both(people(0, PEOPLE))
        for gallery in (one, other):
            done = gallery.enroll(people(PEOPLE, 15))
            assert (done.templates, done.replaced, done.skipped) == (30, 0, 0)
        same_decisions(one, other)
        joined = people(PEOPLE, 15, 1)
        found = one.identify(joined)
        assert sum(each.identity == name_of(PEOPLE + at) for at, each in enumerate(found)) >= 14
        for gallery in (one, other):
            assert gallery.remove([STRANGE[0], "person 012"], templates=["person 013#0", "person 014#0", "person 014#1"]) == 7
            assert gallery.identity_count == PEOPLE + 15 - 3
        same_decisions(one, other)
        for gallery in (one, other):
            assert gallery.rename(STRANGE[1], "somebody else") == 2
            assert gallery.rename("person 015", "person 016", merge=True) == 2
        same_decisions(one, other)
        again = people(20, 2, 2, seed=77)
        for gallery in (one, other):
            assert gallery.enroll(again, on_duplicate="skip").skipped == 4
            assert gallery.enroll(again).replaced == 4
            with pytest.raises(TemplatesError, match="are enrolled already"):
                gallery.enroll(again, on_duplicate="error")
        same_decisions(one, other)
        assert list(one.templates_by_identity()) == list(other.templates_by_identity())
        assert one.identity_count == other.identity_count
        seen = open_gallery(where)
        assert [each.identity for each in seen.identify(probes())] == [each.identity for each in one.identify(probes())]
        assert check_gallery(where) == []

    def test_what_pictures_are_worth_counts_as_in_a_folder(self, both, where):
        """The quality score, one fused template an identity, and the gate; through changes, and by whoever opens it."""

        def shown(templates: Templates, seed: int) -> Templates:
            return worth(templates, np.random.default_rng(seed).uniform(0.002, 1, len(templates)).tolist())

        one, other = both(shown(people(0, PEOPLE), 1))
        asked = shown(Templates.from_vectors(np.concatenate([probes(), strangers()]), provenance=MADE), 2)
        asked = worth(asked, [1e-5, None, *asked.qualities[2:].tolist()])

        def same(gallery: Gallery) -> None:
            mine, theirs = gallery.identify(asked), other.identify(asked)
            assert [each.decision for each in mine[:2]] == ["failed", "identified"]
            for a, b in zip(mine, theirs, strict=True):
                assert (a.decision, a.identity, a.quality, a.reasons) == (b.decision, b.identity, b.quality, b.reasons)
                assert [(c.template_id, c.quality) for c in a.candidates] == [(c.template_id, c.quality) for c in b.candidates]
                assert [c.score for c in a.candidates] == pytest.approx([c.score for c in b.candidates], rel=1e-4)
                assert [c.distance for c in a.candidates] == pytest.approx([c.distance for c in b.candidates], abs=1e-5)

        assert (one.scoring, one.scoring.score, one.scoring.fuse) == (other.scoring, "quality", 0)
        same(one)
        again = people(20, 10, 1, seed=5)
        more = Templates.from_vectors(again.vectors, again.table["identity"].to_pylist(), [f"more{i}" for i in range(10)], MADE)
        for gallery in (one, other):
            assert gallery.enroll(shown(more, 3)).templates == 10
        same(one)  # which measures the densities of those who joined, in a folder
        for gallery in (one, other):
            gallery.remove([name_of(9)], templates=[f"{name_of(10)}#0"])
            gallery.rename(name_of(11), name_of(12), merge=True)
        same(one)
        opened, mine = open_gallery(where).identify(asked), one.identify(asked)
        assert [(each.decision, each.identity, each.quality) for each in opened] == [
            (each.decision, each.identity, each.quality) for each in mine
        ]
        asked_of = np.random.default_rng(4).uniform(0.1, 1, 500).astype(np.float32)
        with pytest.raises(GalleryError, match="searches of the gallery's people are such"):
            one.snapshot().calibrated_to(asked_of)
        assert check_gallery(where) == []

    def test_a_template_that_changes_hands_leaves_both_counts_right(self, both, where):
        one, other = both(people(0, PEOPLE))
        moved = people(30, 1)
        taken = Templates.from_vectors(moved.vectors, [name_of(31)] * 2, [f"{name_of(30)}#0", f"{name_of(30)}#1"], MADE)
        for gallery in (one, other):
            with pytest.raises(TemplatesError, match="already as person 030's, and would become person 031's"):
                gallery.enroll(taken)
            assert gallery.identity_count == PEOPLE
            gallery.enroll(taken, on_duplicate="replace")
        assert one.identity_count == other.identity_count == PEOPLE - 1
        assert list(one.templates_by_identity()) == list(other.templates_by_identity())
        assert check_gallery(where) == []

    def test_verifies_as_a_folder_does(self, both):
        one, other = both(people(0, PEOPLE))
        for at in (0, 3, 20):
            for name in (name_of(at), name_of(at + 1)):
                a, b = (gallery.verify(probes()[at], name) for gallery in (one, other))
                assert (a.same, a.template_id) == (b.same, b.template_id)
                assert a.distance == pytest.approx(b.distance, abs=1e-6)
            assert one.verify(probes()[at], name_of(at), threshold=0.9).same
        assert one.verify(probes()[3], name_of(3), fmr=0.1).threshold == pytest.approx(
            other.verify(probes()[3], name_of(3), fmr=0.1).threshold
        )

    def test_calibrates_to_the_same_wherever_it_lies_and_in_whatever_order(self, both, tmp_path):
        """Where nothing has changed, no threshold moves."""
        one, other = both(people(0, 210))
        before = one.threshold(fpir=0.05)
        one.calibrate()
        other.calibrate()
        order = np.random.default_rng(0).permutation(420)
        shuffled = Templates(people(0, 210).table.take(order), MADE)
        for gallery in (one, other, Gallery.build(shuffled, tmp_path / "shuffled")):
            for rate in (0.02, 0.05, 0.2):
                assert gallery.threshold(fpir=rate) == pytest.approx(other.threshold(fpir=rate), rel=1e-5)
        assert one.threshold(fpir=0.05) == pytest.approx(before, rel=1e-5)

    def test_calibrates_to_about_the_same(self, both):
        one, other = both(people(0, PEOPLE))
        before = one.calibration
        for gallery in (one, other):
            gallery.enroll(people(PEOPLE, 40))
            gallery.calibrate()
        assert before is not None
        assert one.calibration is not None
        assert other.calibration is not None
        assert one.calibration.identities == other.calibration.identities == PEOPLE + 40
        assert one.threshold(fpir=0.1) == pytest.approx(other.threshold(fpir=0.1), rel=0.1)
        for gallery in (one, other):
            gallery.calibrate(Templates.from_vectors(strangers(), None, None, MADE))
        assert one.threshold(fpir=0.1) == pytest.approx(other.threshold(fpir=0.1), rel=1e-3)
        with pytest.raises(GalleryError, match="of enrolled identities"):
            one.calibrate(people(3, 20))
        with pytest.raises(GalleryError, match="of the strangers are enrolled"):
            one.calibrate(Templates.from_vectors(people(0, PEOPLE).vectors, None, None, MADE))

    def test_says_what_it_holds(self, both):
        one, other = both(people(0, PEOPLE))
        mine, theirs = one.info(), other.info()
        for name in ("identities", "templates", "dim", "encoder", "fingerprint", "threshold", "score", "fuse", "exact"):
            assert getattr(mine, name) == getattr(theirs, name)
        assert mine.calibration is not None
        assert mine.calibration.rates == theirs.calibration.rates

    def test_refuses_what_a_folder_refuses(self, both, where):
        one, _ = both(people(0, PEOPLE))
        foreign = Provenance(encoder="pixels", fingerprint="e" * 64, dim=DIM)
        for question in (
            lambda: one.enroll(Templates.from_vectors(np.eye(DIM), ["a"] * DIM, None, foreign)),
            lambda: one.identify(Templates.from_vectors(np.eye(DIM), None, None, foreign)),
            lambda: one.identify(np.eye(DIM + 1)),
        ):
            with pytest.raises(EncoderMismatch, match="was made by"):
                question()
        for question, words in (
            (lambda: one.verify(probes()[0], "nobody"), "nobody called nobody"),
            (lambda: one.remove(["nobody"]), "nobody is not enrolled"),
            (lambda: one.remove(templates=["nothing"]), "nothing is not enrolled"),
            (lambda: one.remove([name_of(at) for at in range(PEOPLE)]), "nobody would be left"),
            (lambda: one.rename("nobody", "x"), "nobody called nobody"),
            (lambda: one.rename(name_of(9), name_of(10)), "pass merge=True"),
            (lambda: one.enroll(people(0, 1), on_duplicate="perhaps"), "on_duplicate='perhaps'"),
            (lambda: one.enroll(people(0, 1), on_match="perhaps"), "on_match='perhaps'"),
            (lambda: one.identify(probes(), fpir=1e-9), "fpir 1e-09"),
            (lambda: one.identify(probes(), top=0), "at least 1"),
        ):
            with pytest.raises(GalleryError, match=words):
                question()
        assert len(one) == 2 * PEOPLE
        with pytest.raises(OutputError, match="exists already"):
            build_gallery(people(0, PEOPLE), where)

    def test_templates_join_the_gallery_that_is_there(self, both, where):
        """Another encoder's gallery took its place since it was opened: who joins is asked of that one."""
        one, _ = both(people(0, PEOPLE))
        theirs = Provenance(encoder="pixels", fingerprint="e" * 64, dim=DIM)
        build_gallery(Templates(people(100, 20).table, theirs), where, overwrite=True)
        with pytest.raises(EncoderMismatch, match="was made by"):
            one.enroll(people(PEOPLE, 1))
        assert len(open_gallery(where)) == 40
        assert one.enroll(Templates(people(120, 1).table, theirs)).templates == 2
        assert len(open_gallery(where)) == 42

    def test_is_replaced_only_by_a_whole_one(self, both, where):
        one, _ = both(people(0, PEOPLE))
        with pytest.raises(TemplatesError, match="comes twice"):
            build_gallery(Templates.from_vectors(np.eye(DIM), ["a"] * DIM, ["same"] * DIM, MADE), where, overwrite=True)
        assert len(open_gallery(where)) == 2 * PEOPLE
        build_gallery(people(100, 20), where, overwrite=True)
        one.refresh()
        assert (len(one), one.identity_count) == (40, 20)
        assert check_gallery(where) == []

    def test_names_of_an_older_onek_are_found(self, both):
        """Names are NFC today; before, they were enrolled as they were found."""
        everybody = people(0, PEOPLE)
        called = ["Zoe\u0308" if name == name_of(20) else name for name in everybody.table["identity"].to_pylist()]
        table = everybody.table.set_column(1, everybody.table.schema.field(1), pa.array(called))
        for gallery in both(Templates(table, MADE)):
            again = Templates.from_vectors(everybody.vectors[40:41], ["Zo\u00eb"], ["new"], MADE)
            gallery.enroll(again)
            assert gallery.identity_count == PEOPLE
            assert gallery.verify(everybody.vectors[40], "Zo\u00eb").same
            with pytest.raises(NameRefused, match="the new name"):
                gallery.rename("Zo\u00eb", " ")
            assert gallery.rename("Zo\u00eb", "Zo\u00eb") == 3
            assert gallery.remove("Zo\u00eb") == 3
            assert gallery.identity_count == PEOPLE - 1
