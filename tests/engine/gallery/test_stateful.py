"""A gallery against a model of it: a dictionary that is enrolled, removed from, renamed, sealed and reopened in any order.

`ONEK_LONG=1 make test-slow` drives it for minutes.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.errors import GalleryBusy, GalleryError, TemplatesError
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import check
from engine.storage import sealing
from engine.storage.writer_lock import locked
from engine.templates.model import Templates, batch

DIM = 16
# Templates that a gallery is sealed behind, and above which it is no small one: crossed many times in one run.
SEAL_AT, SMALL = 6, 30
# The fewest that lists are made of.
LISTED = 20

numbers = st.integers(0, 45)
PEOPLE = st.lists(numbers, min_size=1, max_size=9, unique=True)


def vector_of(key: str, version: int) -> np.ndarray:
    """The vector of a template id in its n-th version: never near another."""
    vector = np.random.default_rng([*key.encode(), version]).normal(size=DIM)
    return vector / np.linalg.norm(vector)


class Living(RuleBasedStateMachine):
    """`held`: template id to (identity, version of its vector, source), of everybody who is enrolled."""

    founders, joining, seal_at, large, index = (8, 20), range(0), SEAL_AT, SMALL, "flat"

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp())
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(sealing, "SEAL_AT", self.seal_at)
        self._patch.setattr(sealing, "SMALL", self.large)
        self._patch.setattr("indexes.approximate.ivf.InvertedLists.least", LISTED)
        self._patch.setattr("engine.storage.segments.making._PROBES", 50)
        self.held: dict[str, tuple[str, int, str | None]] = {}
        self.left: dict[str, tuple[str, int, str | None]] = {}
        self.version = 0

    def teardown(self) -> None:
        self.gallery.close()
        self.other.close()
        faults = check(self.gallery.path)
        self._patch.undo()
        shutil.rmtree(self._folder)
        assert faults == []

    @initialize(data=st.data(), fuse=st.integers(0, 2), score=st.sampled_from(["plain", "local"]))
    def build(self, data: st.DataObject, fuse: int, score: str) -> None:
        founders: set[int] = data.draw(st.sets(numbers, min_size=self.founders[0], max_size=self.founders[1]))
        chosen = {f"t{number}": (f"id{number // 2}", 0, f"/{number}.jpg") for number in sorted(founders)}
        if len({who for who, _, _ in chosen.values()}) < 7:
            score = "plain"
        self.score, self.fuse = score, fuse
        self.gallery = Gallery.build(self._templates(chosen), self._folder / "g", score=score, fuse=fuse, index=self.index)
        # The second object stands for another process: it looks again only before it writes or is asked.
        self.other = Gallery.open(self.gallery.path)
        joining = {f"t{number}": (f"id{number // 2}", 0, None) for number in self.joining}
        if joining:
            self.gallery.enroll(self._templates(joining))
        self.held = chosen | joining

    @rule(chosen=PEOPLE, on_duplicate=st.sampled_from(["replace", "skip", "error"]), second=st.booleans(), sources=st.booleans())
    def enroll(self, chosen: list[int], on_duplicate: str, second: bool, sources: bool) -> None:
        self.version += 1
        new = {f"t{number}": (f"id{number // 2}", self.version, f"/{number}.jpg" if sources else None) for number in chosen}
        known = new.keys() & self.held.keys()
        gallery = self.other if second else self.gallery
        if known and on_duplicate == "error":
            with pytest.raises(TemplatesError, match=f"{len(known)} template ids are enrolled already"):
                gallery.enroll(self._templates(new), on_duplicate=on_duplicate)
            return
        done = gallery.enroll(self._templates(new), on_duplicate=on_duplicate)
        kept = {key: value for key, value in new.items() if on_duplicate != "skip" or key not in known}
        skipped = len(new) - len(kept)
        assert (done.templates, done.replaced, done.skipped) == (len(kept), len(known) - skipped, skipped)
        self._leave(kept.keys() & self.held.keys())
        self.held |= kept

    @rule(data=st.data(), second=st.booleans(), count=st.integers(1, 4))
    def remove(self, data: st.DataObject, second: bool, count: int) -> None:
        names = self._some(data, sorted({who for who, _, _ in self.held.values()}), count)
        going = {key for key, (who, _, _) in self.held.items() if who in names}
        self._remove(second, going, identities=names)

    @rule(data=st.data(), second=st.booleans(), count=st.integers(1, 4))
    def remove_templates(self, data: st.DataObject, second: bool, count: int) -> None:
        ids = self._some(data, sorted(self.held), count)
        self._remove(second, set(ids), templates=ids)

    def _remove(self, second: bool, going: set[str], **named: list[str]) -> None:
        gallery = self.other if second else self.gallery
        if len(going) == len(self.held):
            with pytest.raises(GalleryError, match="nobody would be left"):
                gallery.remove(**named)
            return
        people_left = len({self.held[key][0] for key in self.held.keys() - going})
        if self.score == "local" and people_left < 7:
            return  # too few for the score that was asked for
        assert gallery.remove(**named) == len(going)
        self._leave(going)

    @rule(data=st.data(), second=st.booleans())
    def remove_who_is_gone(self, data: st.DataObject, second: bool) -> None:
        """A second removal is refused, and takes nobody with it."""
        present = {who for who, _, _ in self.held.values()}
        names = [*sorted({who for who, _, _ in self.left.values()} - present), "nobody"]
        gone = data.draw(st.sampled_from(names))
        with pytest.raises(GalleryError, match=f"{gone} is not enrolled"):
            (self.other if second else self.gallery).remove([gone, next(iter(present))])
        ids = [*sorted(self.left.keys() - self.held.keys()), "nothing"]
        with pytest.raises(GalleryError, match="is not enrolled"):
            (self.other if second else self.gallery).remove(templates=[data.draw(st.sampled_from(ids))])

    @rule(data=st.data(), to=st.integers(0, 25), second=st.booleans(), merge=st.booleans())
    def rename(self, data: st.DataObject, to: int, second: bool, merge: bool) -> None:
        """To a name that is free, was freed, or is somebody's."""
        present = {who for who, _, _ in self.held.values()}
        old, new = data.draw(st.sampled_from(sorted(present))), f"id{to}"
        mine = [key for key, (who, _, _) in self.held.items() if who == old]
        gallery = self.other if second else self.gallery
        if new in present and new != old and not merge:
            with pytest.raises(GalleryError, match=f"{new} is enrolled in .* already"):
                gallery.rename(old, new)
            return
        if self.score == "local" and new in present and len(present) <= 7:
            return
        assert gallery.rename(old, new, merge=merge) == len(mine)
        self.held |= {key: (new, *self.held[key][1:]) for key in mine}

    @rule(second=st.booleans())
    def compact(self, second: bool) -> None:
        gallery = self.other if second else self.gallery
        gallery.compact()
        info = gallery.info()
        assert (info.recent, info.awaiting_erasure) == (0, 0)
        pages = b"".join(file.read_bytes() for file in sorted(gallery.path.iterdir()))
        for key, (_, version, _) in self.left.items():
            if self.held.get(key, ("", -1, ""))[1] != version:
                assert vector_of(key, version).astype("<f4").tobytes() not in pages
        self.left.clear()

    @rule(second=st.booleans())
    def reopen(self, second: bool) -> None:
        """Closed and opened: what was acknowledged is there."""
        if second:
            self.other.close()
            self.other = Gallery.open(self.gallery.path)
        else:
            self.gallery.close()
            self.gallery = Gallery.open(self.gallery.path)

    @rule()
    def calibrate(self) -> None:
        if len({who for who, _, _ in self.held.values()}) >= 10:
            assert self.gallery.calibrate().identities == len({who for who, _, _ in self.held.values()})

    @rule(wait=st.sampled_from([0.0, 0.01]))
    def a_second_writer_is_refused(self, wait: float) -> None:
        with locked(self.gallery.path), pytest.raises(GalleryBusy, match=f"is being written to by process {os.getpid()}"):
            Gallery.open(self.gallery.path).enroll(self._templates({"t0": ("id0", 99, None)}), wait=wait)

    @precondition(lambda self: self.held)
    @invariant()
    def everybody_is_there_and_nobody_else(self) -> None:
        self.gallery.refresh()
        self.other.refresh()
        for gallery in (self.gallery, self.other, Gallery.open(self.gallery.path)):
            self._is_as_held(gallery)

    def _is_as_held(self, gallery: Gallery) -> None:
        ids = gallery.template_ids.to_pylist()
        assert sorted(ids) == sorted(self.held)
        names = gallery.identity_names.take(pa.array(gallery.enrolled.members.codes)).to_pylist()
        assert names == [self.held[key][0] for key in ids]
        assert gallery.sources().to_pylist() == [self.held[key][2] for key in ids]
        present = sorted({who for who, _, _ in self.held.values()})
        assert (gallery.identities, len(gallery), gallery.identity_count) == (present, len(self.held), len(present))
        assert dict(gallery.templates_by_identity()) == {who: names.count(who) for who in present}
        info = gallery.info()
        assert (info.templates, info.identities, info.score, info.fuse) == (len(ids), len(present), self.score, self.fuse)
        assert info.segments in (1, 2)
        event(f"{info.segments} segments")
        assert info.recent <= len(ids)
        vectors = np.array([vector_of(key, self.held[key][1]) for key in ids], np.float32)
        np.testing.assert_allclose(gallery.index.vectors(np.arange(len(ids))), vectors, atol=1e-6)
        # Its own vector finds each template first, at no distance, and its identity with it.
        found = gallery.index.search(gallery.index.vectors(np.arange(len(ids))), 1)
        assert found.rows[:, 0].tolist() == list(range(len(ids)))
        assert (found.distances == 0).all()
        candidates = gallery.enrolled.candidates(vectors, 1)
        if self.fuse == 1 and self.score == "plain":
            assert [names[row] for row in candidates.rows[:, 0]] == names
        assert np.isfinite(candidates.scores).all()
        if self.left:
            gone = np.array([vector_of(key, version) for key, (_, version, _) in self.left.items()], np.float32)
            assert (gallery.index.search(gone, 1).distances > 0.05).all()

    def _some(self, data: st.DataObject, of: list[str], count: int) -> list[str]:
        return data.draw(st.lists(st.sampled_from(of), min_size=1, max_size=count, unique=True))

    def _leave(self, keys: Any) -> None:
        for key in keys:
            self.left[key] = self.held.pop(key)

    def _templates(self, rows: dict[str, tuple[str, int, str | None]]) -> Templates:
        vectors = np.array([vector_of(key, version) for key, (_, version, _) in rows.items()])
        plain = Templates.from_vectors(vectors, [who for who, _, _ in rows.values()], list(rows))
        whole = batch(
            plain.provenance, list(rows), [who for who, _, _ in rows.values()], plain.vectors, [at for _, _, at in rows.values()]
        )
        return Templates(pa.Table.from_batches([whole]), plain.provenance)


class LivingInTails(Living):
    """Of lists, behind which a tail stands from the beginning."""

    founders, joining, seal_at, large, index = (LISTED, 30), range(46, 50), 2, 12, "ivf"


_COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": bool(os.environ.get("CI"))}
# What fails is made small by the long run: that takes minutes.
_UNSHRUNK = [Phase.explicit, Phase.reuse, Phase.generate]


@pytest.mark.usefixtures("one_thread")
class TestLiving(Living.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=12, stateful_step_count=15, phases=_UNSHRUNK, **_COMMON)  # type: ignore[arg-type]


@pytest.mark.usefixtures("one_thread")
class TestLivingInTails(LivingInTails.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=8, stateful_step_count=15, phases=_UNSHRUNK, **_COMMON)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("ONEK_LONG"), reason="takes minutes; set ONEK_LONG=1")
class TestLivingForLong(Living.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=400, stateful_step_count=40, **_COMMON)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("ONEK_LONG"), reason="takes minutes; set ONEK_LONG=1")
class TestLivingInTailsForLong(LivingInTails.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=400, stateful_step_count=40, **_COMMON)  # type: ignore[arg-type]
