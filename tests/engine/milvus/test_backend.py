"""What a gallery in Milvus does when something is missing, foreign, old, refused or cut off: one line, and nothing lost."""

import logging
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest

from engine.errors import GalleryError, GalleryReplaced, IndexUnsupported, OutputError
from engine.milvus import changes
from engine.milvus.building import build as building
from engine.milvus.building.held import Held
from engine.milvus.building.placement import Placement, placement
from engine.milvus.connection import client
from engine.milvus.connection.address import parse
from engine.milvus.connection.client import MilvusConnection
from engine.milvus.connection.unlogged import unlogged
from engine.milvus.snapshot import MilvusSnapshot
from engine.templates.parquet import TemplateWriter
from engine.workflows.identify_files import identify_to_file
from engine.workflows.locations import build_gallery, check_gallery, in_folder, open_gallery
from tests.support.contract import PEOPLE, people, probes, strangers

ONEK = str(Path(sys.executable).with_name("onek"))


@pytest.fixture
def where(tmp_path: Path) -> Iterator[str]:
    address = f"milvus-lite:{tmp_path / 'm.db'}/g"
    yield address
    MilvusConnection(parse(address)).close()


def onek(folder: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([ONEK, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False)


def refused(done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("command", ["compact", "backup", "check --repair", "audit", "merge", "explain"])
def test_what_only_a_folder_can(command):
    for where in ("milvus-lite:m.db/g", "s3://bucket/g"):
        with pytest.raises(GalleryError, match=f"onek {command} works on galleries in folders; found {where}"):
            in_folder(where, command)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("milvus://somewhere/g", "expected milvus://HOST:PORT/NAME"),
        ("milvus://user:secret@somewhere:1/g", "from the environment"),
        ("milvus://somewhere:19530", "expected milvus://HOST:PORT/NAME"),
        ("milvus://somewhere:19530/a-b", "a NAME has letters"),
        ("milvus-lite:m/g", "expected milvus-lite:PATH.db/NAME"),
        ("milvus-lite:/nowhere/at/all/m.db/g", "there is no folder /nowhere/at/all"),
    ],
)
def test_an_address_that_is_none(address, words):
    with pytest.raises(GalleryError, match=words):
        open_gallery(address)


def test_tls_is_asked_for():
    assert parse("milvus+tls://host:443/g").uri == "https://host:443"
    assert parse("milvus://host:19530/g").uri == "http://host:19530"


def test_commands_in_an_embedded_milvus(tmp_path):
    np.savez(tmp_path / "v.npz", vectors=people(7, 40).vectors)
    made = people(7, 40)
    import pyarrow.parquet as pq

    pq.write_table(made.table, tmp_path / "t.parquet")
    pq.write_table(made.table.slice(0, 10), tmp_path / "p.parquet")
    built = onek(tmp_path, "build-index", "t.parquet", "--out", "milvus-lite:m.db/g")
    assert built.returncode == 0, built.stderr
    assert built.stdout.startswith("80 templates of 40 identities in milvus-lite:m.db/g (FLAT index, 24 dimensions)\n")
    found = onek(tmp_path, "identify", "p.parquet", "--gallery", "milvus-lite:m.db/g", "--out", "r.csv", "--threshold", "0.5")
    assert found.stdout.splitlines()[-1] == "10 probe faces: 10 identified, 0 unknown, 0 failed, in r.csv", found.stderr
    assert onek(tmp_path, "list", "milvus-lite:m.db/g").stdout.splitlines()[1] == "person 007,2"
    assert "FLAT" in onek(tmp_path, "info", "milvus-lite:m.db/g").stdout
    assert onek(tmp_path, "rename", "person 007", "x", "-g", "milvus-lite:m.db/g").stdout == "2 templates of person 007 are x's\n"
    assert onek(tmp_path, "check", "milvus-lite:m.db/g").stdout == "milvus-lite:m.db/g is whole\n"
    assert onek(tmp_path, "calibrate", "milvus-lite:m.db/g").stdout.startswith("calibrated at 40 identities")
    removed = onek(tmp_path, "remove", "x", "-g", "milvus-lite:m.db/g")
    assert removed.stdout.startswith("2 templates removed; milvus-lite:m.db/g has 78"), removed.stderr
    refused(onek(tmp_path, "compact", "milvus-lite:m.db/g"), "works on galleries in folders")
    refused(onek(tmp_path, "info", "milvus-lite:m.db/h"), "there is no gallery of that name")
    refused(onek(tmp_path, "info", "milvus://127.0.0.1:1/h"), "no answer from http://127.0.0.1:1", "is Milvus running?")


def test_an_embedded_milvus_that_is_in_use(where, tmp_path):
    build_gallery(people(0, 20), where)
    refused(onek(tmp_path, "info", where), "another process has it open")


def test_without_pymilvus(where, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(GalleryError, match=r"pip install 'onek\[milvus\]'"):
        open_gallery(where)


def test_nothing_of_milvus_is_loaded_for_a_folder(tmp_path):
    code = "import sys, engine.workflows.locations, engine.cli.app; print({'pymilvus', 'milvus_lite', 'ray'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_server_that_does_not_answer(monkeypatch):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        monkeypatch.setattr(client, "SECONDS", 2.0)
        start = time.monotonic()
        with pytest.raises(GalleryError, match="no answer from"):
            MilvusConnection(parse(f"milvus://127.0.0.1:{listening.getsockname()[1]}/g"), 2.0)
        assert time.monotonic() - start < 20


def test_a_token_that_is_refused():
    class Refuse(grpc.ServerInterceptor):
        def intercept_service(self, continuation, details):
            def refuse(request, context):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure, please check username and password")

            return grpc.unary_unary_rpc_method_handler(refuse)

    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, interceptors=[Refuse()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with pytest.raises(GalleryError, match="the token was refused .*ONEK_MILVUS_TOKEN"):
            MilvusConnection(parse(f"milvus://127.0.0.1:{port}/g"), 5.0)
        server.stop(0)


def test_a_server_that_is_too_old(where, monkeypatch):
    monkeypatch.setattr(client, "_LEAST", (99, 0))
    with pytest.raises(GalleryError, match="expected 99.0 or later"):
        open_gallery(where)


def test_a_collection_that_is_not_ours(where):
    other = MilvusConnection(parse(where))
    other.call("create_collection", "g", dimension=4)
    for refuse in (lambda: open_gallery(where), lambda: build_gallery(people(0, 20), where, overwrite=True)):
        with pytest.raises(GalleryError, match="is not a gallery of onek's"):
            refuse()
    with pytest.raises(OutputError, match="is not a gallery of onek's"):
        build_gallery(people(0, 20), where)


def test_what_others_keep_beside_it_stays(where):
    build_gallery(people(0, 20), where)
    other = MilvusConnection(parse(where))
    for name in ("g_0123456789ab", "g_abcdefghijkl", "g_2"):
        other.call("create_collection", name, dimension=4)
    build_gallery(people(0, 20), f"{where}_0123456789cd")
    build_gallery(people(0, 30), where, overwrite=True)
    assert {"g_0123456789ab", "g_abcdefghijkl", "g_2", "g_0123456789cd"} < set(other.call("list_collections"))
    assert len(open_gallery(f"{where}_0123456789cd")) == 40
    assert len(other.call("list_collections")) == 7


def test_a_build_that_was_cut_off(where, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(building, "index", fail)
        build_gallery(people(0, 20), where)
    with pytest.raises(GalleryError, match="never finished: its build was cut off"):
        open_gallery(where)
    with pytest.raises(OutputError, match="overwrite=True"):
        build_gallery(people(0, 20), where)
    assert len(build_gallery(people(0, 20), where, overwrite=True)) == 40
    assert len(MilvusConnection(parse(where)).call("list_collections")) == 2
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(building, "index", fail)
        build_gallery(people(0, 30), where, overwrite=True)
    assert len(open_gallery(where)) == 40
    assert [fault.what[:27] for fault in check_gallery(where)] == ["a build of it was cut off; "]
    assert len(build_gallery(people(0, 30), where, overwrite=True)) == 60
    assert len(MilvusConnection(parse(where)).call("list_collections")) == 2
    assert check_gallery(where) == []


def test_an_enrolment_that_was_cut_off_is_searched_rightly_and_may_be_repeated(where, monkeypatch):
    one = build_gallery(people(0, PEOPLE), where)

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(changes, "measured", fail)
        one.enroll(people(PEOPLE, 10))
    assert "20 templates have no density" in str(check_gallery(where)[0])
    seen = open_gallery(where)
    halfway = seen.identify(np.concatenate([probes(), strangers(), people(PEOPLE, 10, 1).vectors]))
    one.enroll(people(PEOPLE, 10))
    assert check_gallery(where) == []
    assert one.identity_count == PEOPLE + 10
    whole = one.identify(np.concatenate([probes(), strangers(), people(PEOPLE, 10, 1).vectors]))
    assert [each.identity for each in halfway] == [each.identity for each in whole]
    assert [each.score for each in halfway] == pytest.approx([each.score for each in whole], rel=1e-5)


@pytest.mark.parametrize("kind", ["flat-codes", "ivf", "ivf-sq8", "hnsw"])
def test_kinds_that_are_not_exact_find_what_was_asked(kind, where, tmp_path):
    centres = np.random.default_rng(0).normal(size=(3000, 24))
    from engine.templates.model import Templates

    templates = Templates.from_vectors(centres, [f"id{at}" for at in range(3000)])
    made = build_gallery(templates, where, index=kind, recall=0.98)
    said = made.info()
    assert not said.exact
    assert said.recall >= 0.98
    near = centres[::10] + 0.05 * np.random.default_rng(1).normal(size=(300, 24))
    found = made.identify(near, threshold=9.0)
    assert np.mean([each.identity == f"id{10 * at}" for at, each in enumerate(found)]) >= 0.97


def test_an_index_that_milvus_does_not_have(where):
    with pytest.raises(IndexUnsupported, match="--factory IVF4"):
        build_gallery(people(0, 20), where, factory="IVF4,Flat")
    with pytest.raises(IndexUnsupported, match="Milvus has nothing for it"):
        build_gallery(people(0, 20), where, index="annoy")


def test_what_another_enrolled_the_next_look_sees(where):
    one, other = build_gallery(people(0, PEOPLE), where), open_gallery(where)
    one.enroll(people(PEOPLE, 5))
    assert other.identify(people(PEOPLE, 5, 1), threshold=9.0)[0].identity == f"person {PEOPLE:03}"
    assert other.refresh()
    assert not other.refresh()
    assert len(other) == 2 * PEOPLE + 10


def test_a_reader_finds_the_gallery_that_was_put_in_the_place_of_the_one_it_read(where):
    build_gallery(people(0, 20), where)
    reader = open_gallery(where)
    build_gallery(people(100, 20), where, overwrite=True)
    found = reader.identify(people(100, 5, 1), threshold=2.0)
    assert [each.identity for each in found] == [f"person {at}" for at in range(100, 105)]
    with pytest.raises(GalleryError, match="0 candidates"):
        reader.identify(people(100, 5, 1), threshold=2.0, top=0)


def test_one_identity_with_very_many_templates_does_not_hide_the_others(where, tmp_path):
    crowd = people(0, 1, 400)
    from engine.templates.model import Templates

    everybody = people(1, 30)
    both = Templates.from_vectors(
        np.concatenate([crowd.vectors, everybody.vectors]),
        crowd.table["identity"].to_pylist() + everybody.table["identity"].to_pylist(),
        [f"t{at}" for at in range(460)],
        crowd.provenance,
    )
    made, local = build_gallery(both, where), build_gallery(both, tmp_path / "local")
    vectors = crowd.vectors[:5]
    ours, theirs = (each.identify(vectors, threshold=2.0, top=20) for each in (made, local))
    assert [[c.identity for c in each.candidates] for each in ours] == [[c.identity for c in each.candidates] for each in theirs]
    assert len(ours[0].candidates) == 20
    few = made.identify(vectors, threshold=2.0, top=3)
    assert [each.candidates for each in few] == [each.candidates[:3] for each in ours]


def _replaced(where):
    """Another gallery in the place of the one there, whose plain scores mean another thing than the local ones before."""
    return build_gallery(people(100, 80), where, overwrite=True, score="plain")


def test_a_search_whose_gallery_was_replaced_begins_again_whole(where):
    """The first call after it has the threshold, K and scores of the gallery whose people it names."""
    build_gallery(people(0, PEOPLE), where)
    reader = open_gallery(where)
    assert reader.scoring.score == "local"
    now = _replaced(where)
    found, expected = reader.identify(strangers(), fpir=0.05), now.identify(strangers(), fpir=0.05)
    assert [each.threshold for each in found] == [each.threshold for each in expected]
    assert [(each.decision, each.score, each.expected_false_alarms) for each in found] == [
        (each.decision, each.score, each.expected_false_alarms) for each in expected
    ]
    assert sum(each.identity is not None for each in found) < 30
    assert reader.identity_count == 80


def test_a_score_of_the_callers_means_nothing_to_a_gallery_that_scores_otherwise(where):
    build_gallery(people(0, PEOPLE), where)
    reader = open_gallery(where)
    _replaced(where)
    with pytest.raises(GalleryReplaced, match="was built anew by somebody else meanwhile"):
        reader.identify(strangers(), threshold=0.9)
    assert len(reader.identify(strangers(), threshold=0.9)) == 120  # it knows now what it asks


def test_a_file_of_results_is_of_one_gallery(where, tmp_path, monkeypatch):
    """Replaced while parts are searched, and its collection dropped: one line, and no output."""
    build_gallery(people(0, PEOPLE), where)
    reader, parts = open_gallery(where), []
    with TemplateWriter(tmp_path / "p.parquet", people(0, 1).provenance) as writer:
        for each in people(0, 60, 3, seed=5).table.to_batches():
            writer.write(each)
    monkeypatch.setattr("engine.workflows.identify_files.TEMPLATES", 20)
    search = MilvusSnapshot.find

    def find(snapshot, *question):
        parts.append(len(question[0]))
        if len(parts) == 3:
            _replaced(where)
        return search(snapshot, *question)

    monkeypatch.setattr(MilvusSnapshot, "find", find)
    with pytest.raises(GalleryReplaced, match="was built anew by somebody else meanwhile"):
        identify_to_file(reader, [tmp_path / "p.parquet"], tmp_path / "r.csv", fpir=0.05)
    assert len(parts) == 3
    assert not (tmp_path / "r.csv").exists()
    assert reader.refresh()
    made = identify_to_file(reader, [tmp_path / "p.parquet"], tmp_path / "r.csv", fpir=0.05)
    assert made.counts.probes == 180


def test_changes_go_to_the_gallery_that_is_there(where, monkeypatch):
    """Whatever is acknowledged is in it; what was written to one that went in the meantime is not acknowledged."""
    build_gallery(people(0, PEOPLE), where)
    other = open_gallery(where)
    now = _replaced(where)
    other.enroll(people(200, 5))
    assert now.identify(people(200, 5, 1), threshold=2.0)[0].identity == "person 200"
    put = changes.put

    def replaced_meanwhile(*arguments):
        monkeypatch.setattr(changes, "put", put)
        put(*arguments)
        build_gallery(people(0, 30), where, overwrite=True)

    monkeypatch.setattr(changes, "put", replaced_meanwhile)
    with pytest.raises(GalleryReplaced, match="built anew"):
        other.enroll(people(210, 5))
    assert len(open_gallery(where)) == 60
    before = open_gallery(where).calibration

    learnt = Held.calibrated

    def calibrated_meanwhile(*arguments):
        made = learnt(*arguments)
        _replaced(where)
        return made

    monkeypatch.setattr(Held, "calibrated", calibrated_meanwhile)
    with pytest.raises(GalleryReplaced, match="calibrate it again"):
        other.calibrate()
    assert open_gallery(where).calibration.identities == 80 != before.identities


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("replicas", "found 'replicas'; expected NAME=VALUE, each once, of replicas, shards, resource-groups, mmap, consistency"),
        ("nodes=3", "found 'nodes=3'"),
        ("shards=2,shards=3", "found 'shards=3'"),
        ("shards=0", "shards is '0'; expected a number from 1 to 64"),
        ("mmap=perhaps", "mmap is 'perhaps'; expected yes or no"),
        ("consistency=some", "expected one of strong, bounded, session, eventually"),
        ("replicas=3,resource-groups=a+b", "2 resource groups for 3 replicas"),
    ],
)
def test_placements_that_there_are_none_of(text, says):
    with pytest.raises(GalleryError, match=f"--milvus {re.escape(text)}: .*{re.escape(says)}"):
        placement(text)


def test_what_a_server_is_asked_for(where, monkeypatch):
    """As if the embedded one were a server: whoever makes, loads, opens or checks the gallery says the same of it."""
    with pytest.raises(GalleryError, match="--milvus replicas=2: milvus-lite is one process"):
        build_gallery(people(0, 20), where, milvus="replicas=2")
    with pytest.raises(IndexUnsupported, match="--index diskann: milvus-lite has none"):
        build_gallery(people(0, 20), where, index="diskann")
    with pytest.raises(GalleryError, match="goes with a gallery in Milvus"):
        build_gallery(people(0, 20), "folder", milvus="replicas=2")
    said, call = [], MilvusConnection.call

    def told(self, name, *arguments, **values):
        asked = {
            key: values.pop(key) for key in ("num_shards", "properties", "replica_number", "resource_groups") if key in values
        }
        if asked:
            said.append((name, asked))
        return call(self, name, *arguments, **values)

    monkeypatch.setattr(MilvusConnection, "call", told)
    monkeypatch.setattr(MilvusConnection, "lite", False)
    build_gallery(people(0, 20), where, milvus="replicas=2,shards=8,resource-groups=a+b,mmap=yes,consistency=bounded")
    open_gallery(where)
    check_gallery(where)
    loaded = ("load_collection", {"replica_number": 2, "resource_groups": ["a", "b"]})
    assert said == [("create_collection", {"num_shards": 8, "properties": {"mmap.enabled": "true"}}), *[loaded] * 4]
    assert open_gallery(where).snapshot().catalogue.placement == Placement(2, 8, ("a", "b"), True, "Bounded")


def test_an_embedded_gallery_is_for_its_owner_alone(tmp_path: Path) -> None:
    """No port, on which every user of the machine could ask it; no file, and no folder, that others can enter."""
    where = f"milvus-lite:{tmp_path}/private.db/people"
    listening = ports()
    gallery = build_gallery(people(0, 20), where, score="plain")
    assert ports() <= listening
    gallery.remove([people(0, 1).table["identity"][0].as_py()])
    assert (tmp_path / "private.db").stat().st_mode & 0o777 == 0o700
    gallery.close()
    modes = {file.stat().st_mode & 0o777 for file in (tmp_path / "private.db").rglob("*") if file.is_file()}
    assert modes == {0o600}
    said = onek(tmp_path, "remove", people(1, 1).table["identity"][0].as_py(), "-g", where)
    assert "their bytes stay in milvus-lite's files until the gallery is built anew" in " ".join(said.stdout.split())


def ports() -> set[int]:
    """Those on which this process listens."""
    return {each.laddr.port for each in psutil.Process().net_connections("tcp") if each.status == psutil.CONN_LISTEN}


def test_the_loggers_of_others_are_silent_during_calls_alone(where):
    MilvusConnection(parse(where)).close()  # pymilvus sets levels of its own when it is imported
    loggers = [logging.getLogger(name) for name in ("pymilvus", "milvus_lite", "grpc")]
    before = [logger.level for logger in loggers]
    gallery = build_gallery(people(0, 20), where)
    with unlogged, unlogged:
        assert not loggers[0].isEnabledFor(logging.CRITICAL)
        gallery.identify(probes(), threshold=0.5)
        assert not loggers[0].isEnabledFor(logging.CRITICAL)
    assert [logger.level for logger in loggers] == before
    gallery.close()
    assert [logger.level for logger in loggers] == before
