"""Which templates an enrolment takes, by hand; how whoever is meant is found, and what is said of whoever is not."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine.errors import GalleryError, TemplatesError
from engine.gallery.gallery import Gallery
from engine.storage.catalogue import read_version
from engine.storage.changes import not_enrolled, require_words, spelt_as_enrolled, undisputed
from engine.storage.recent_rows import numbers
from engine.storage.writer_lock import Writer
from engine.templates.model import Templates, batch
from tests.support.galleries import people

pytestmark = pytest.mark.usefixtures("one_thread")


def table(*rows: tuple[str, str, str | None]) -> pa.Table:
    """Of template ids, identities and sources."""
    plain = Templates.from_vectors(np.eye(len(rows), 4))
    ids, who, sources = ([row[column] for row in rows] for column in range(3))
    return pa.Table.from_batches([batch(plain.provenance, ids, who, plain.vectors, sources)])


NEW = table(("a", "Ann", "/a.jpg"), ("b", "Ben", None), ("c", "Cid", None))


def ids(of: pa.Table) -> list[str]:
    return of["template_id"].to_pylist()


def test_ids_that_nobody_has_are_enrolled() -> None:
    for word in ("own", "replace", "skip", "error"):
        assert ids(undisputed(NEW, {}, word)) == ["a", "b", "c"]
        assert ids(undisputed(NEW, {"z": "Ann"}, word) if word != "error" else NEW) == ["a", "b", "c"]


def test_ids_that_are_enrolled() -> None:
    assert ids(undisputed(NEW, {"a": "Zoe", "c": "Cid"}, "skip")) == ["b"]
    assert ids(undisputed(NEW, {"a": "Zoe", "c": "Cid"}, "replace")) == ["a", "b", "c"]
    assert ids(undisputed(NEW, {"a": "Ann", "c": "Cid"}, "own")) == ["a", "b", "c"]
    with pytest.raises(TemplatesError, match=r"^2 template ids are enrolled already, such as a; say on_duplicate=\.\.\.$"):
        undisputed(NEW, {"c": "Cid", "a": "Ann"}, "error")


def test_ids_that_are_others_are_said() -> None:
    told = r"^the template a \(of /a.jpg\) is enrolled already as Zoe's, and would become Ann's; nothing was enrolled"
    with pytest.raises(TemplatesError, match=told):
        undisputed(NEW, {"a": "Zoe", "b": "Ben"}, "own")
    with pytest.raises(TemplatesError, match="^the template b is enrolled already as Zoe's, and would become Ben's; nothing"):
        undisputed(NEW, {"a": "Ann", "b": "Zoe"}, "own")
    with pytest.raises(TemplatesError, match="would become Ann's, and 2 more ids are others'; nothing was enrolled"):
        undisputed(NEW, {"a": "Zoe", "b": "Yan", "c": "Ann"}, "own")


@pytest.mark.parametrize(("unknown", "said"), [(["a"], "a is"), (["a", "b"], r"a is"), (["a", "b", "c"], "a is")])
def test_whoever_is_not_enrolled_is_counted(unknown: list[str], said: str) -> None:
    more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
    assert str(not_enrolled(unknown, "g")) == f"{said} not enrolled in g{more}; nothing was removed"


def test_words_are_known() -> None:
    require_words("own", "warn")
    with pytest.raises(GalleryError, match="on_duplicate='ours': expected own, replace, skip, error"):
        require_words("ours", "warn")
    with pytest.raises(GalleryError, match="on_match='hide': expected "):
        require_words("own", "hide")


def asked(*there: str) -> tuple[Callable[[pa.Array], list[str]], list[list[str]]]:
    """A gallery in which these are enrolled, and what it was asked for."""
    questions: list[list[str]] = []

    def enrolled(names: pa.Array) -> list[str]:
        questions.append(names.to_pylist())
        return [name for name in names.to_pylist() if name in there]

    return enrolled, questions


def test_a_name_is_spelt_as_it_is_enrolled() -> None:
    composed, decomposed = "Zo\u00eb", "Zoe\u0308"
    new = table(("a", composed, None), ("b", "Ben", None), ("c", composed, None))
    enrolled, questions = asked(decomposed, "Ben")
    spelt = spelt_as_enrolled(new, enrolled)
    assert spelt["identity"].to_pylist() == [decomposed, "Ben", decomposed]
    assert spelt.schema.equals(new.schema)
    assert spelt.drop_columns(["identity"]).equals(new.drop_columns(["identity"]))
    assert len(questions) == 1
    assert decomposed in questions[0]
    assert "Ben" not in questions[0]  # which has one spelling
    # Nobody's, and one's own: nothing changes.
    for there in ((), (composed,), (composed, decomposed)):
        assert spelt_as_enrolled(new, asked(*there)[0]) is new
    plain, questions = asked("Ben")
    assert spelt_as_enrolled(NEW, plain) is NEW
    assert questions == []


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    return Gallery.build(people(0, 30), tmp_path / "g")


def test_templates_that_leave_are_counted_until_they_are_erased(gallery: Gallery) -> None:
    """Sealed ones and recent ones, by name, by id and by both, each once."""
    gallery.enroll(people(40, 44))
    assert gallery.remove(["id3", "id40"], templates=["id3#0", "id40#1", "id4#1", "id43#1"]) == 6
    assert gallery.info().awaiting_erasure == 6
    assert gallery.enroll(people(42, 43), on_duplicate="replace").replaced == 2
    assert gallery.info().awaiting_erasure == 8
    assert (len(gallery), gallery.identity_count) == (60 + 8 - 6, 32)
    writer = Writer(gallery.path)
    with writer.holding(), writer.connection() as database:
        assert len(numbers(database)) == 5
    writer.close()
    gallery.compact()
    assert gallery.info().awaiting_erasure == 0


def test_nobody_may_be_left_out_by_the_last(gallery: Gallery) -> None:
    gallery.enroll(people(40, 41))
    everybody = [f"id{number}" for number in (*range(30), 40)]
    with pytest.raises(GalleryError, match=r"nobody would be left in .*g; delete the folder instead"):
        gallery.remove(everybody)
    assert gallery.remove(everybody[:-1]) == 60
    with pytest.raises(GalleryError, match="nobody would be left"):
        gallery.remove(templates=["id40#0", "id40#1"])
    assert gallery.remove(templates=["id40#0"]) == 1
    assert gallery.template_ids.to_pylist() == ["id40#1"]


def test_a_name_of_recent_and_sealed_templates_is_one(gallery: Gallery) -> None:
    """Renamed and merged, wherever each template lies; names that are free are nobody's."""
    gallery.enroll(people(40, 42))
    gallery.enroll(people(42, 43).of("id1"))
    with pytest.raises(GalleryError, match=r"id2 is enrolled in .*g already; pass merge=True to make one identity of both"):
        gallery.rename("id1", "id2")
    with pytest.raises(GalleryError, match=r"nobody called one is enrolled in .*g"):
        gallery.rename("one", "two")
    assert gallery.rename("id1", "one") == 4
    assert gallery.rename("id40", "one", merge=True) == 2
    before = read_version(gallery.path)
    assert gallery.rename("one", "one") == 6
    assert read_version(gallery.path) == before  # nothing was written for that
    assert gallery.rename("one", "id2", merge=True) == 6
    gallery.remove(["id3"])
    assert gallery.rename("id2", "id3") == 8
    expected = {"id3": 8, **{f"id{number}": 2 for number in (0, *range(4, 30), 41)}}
    for seen in (gallery, Gallery.open(gallery.path)):
        assert dict(seen.templates_by_identity()) == expected


def test_whose_an_id_is_now(gallery: Gallery) -> None:
    """Of sealed templates and of recent ones, by the name that they have now, which others took meanwhile."""
    gallery.enroll(people(40, 42))
    gallery.rename("id1", "one")
    gallery.rename("id2", "id1")
    gallery.rename("id40", "forty")
    for seen in (gallery, Gallery.open(gallery.path)):
        for key, owner in (("id0#1", "id0"), ("id1#0", "one"), ("id2#0", "id1"), ("id40#0", "forty"), ("id41#1", "id41")):
            new = Templates.from_vectors(people(90, 91, each=1).vectors, ["somebody"], [key])
            with pytest.raises(TemplatesError, match=f"the template {key} is enrolled already as {owner}'s, and would become"):
                seen.enroll(new)
            assert seen.enroll(new.of(owner)).replaced == 1
    assert (len(gallery), gallery.identity_count) == (64, 32)


@pytest.mark.parametrize("template", ["id0#0", "id29#1", "id40#0"])
def test_templates_that_are_gone_are_not_enrolled(gallery: Gallery, template: str) -> None:
    gallery.enroll(people(40, 41))
    assert gallery.remove(templates=template) == 1
    with pytest.raises(GalleryError, match=f"{template} is not enrolled"):
        gallery.remove(templates=template)


def test_templates_that_are_gone_are_not_renamed(gallery: Gallery) -> None:
    gallery.enroll(people(40, 41))
    gallery.remove(templates=["id4#0", "id40#0"])
    assert gallery.rename("id4", "four") == 1
    assert gallery.rename("four", "four") == 1
    assert gallery.rename("id40", "four", merge=True) == 1
    assert dict(gallery.templates_by_identity())["four"] == 2


def test_another_spelling_of_ones_own_name_is_nobody_elses(gallery: Gallery) -> None:
    """As an older onek enrolled it: no identity is merged with another, and so nobody has to say so."""
    gallery.close()
    composed, decomposed = "Zo\u00eb", "Zoe\u0308"
    with closing(sqlite3.connect(gallery.path / "catalogue.sqlite")) as database, database:
        database.execute("INSERT INTO renamed VALUES ('segment-000001', 'id1', ?)", (decomposed,))
    (gallery.path / "catalogue.sha256").unlink()
    gallery = Gallery.open(gallery.path)
    assert decomposed in gallery.identities
    assert gallery.rename(composed, composed) == 2
    assert composed in gallery.identities
    assert decomposed not in gallery.identities
