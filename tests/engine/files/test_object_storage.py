"""Object storage: every path that a command takes, against an S3 server on loopback."""

import csv
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyarrow import fs

from engine.embedding.photographs import find_photographs
from engine.errors import GalleryError, StorageError, TemplatesError, TrainingError
from engine.files import object_storage as places
from engine.files.atomic_files import check_output
from engine.gallery.gallery import Gallery
from engine.matching.pair_verifier import read_pair_verifier
from engine.storage.catalogue import NAME
from engine.templates.parquet import TemplateFile, TemplateWriter, read_templates
from engine.training.networks import begun
from engine.workflows.locations import build_gallery, open_gallery
from tests.support.contract import people, probes

ONEK = str(Path(sys.executable).with_name("onek"))
Onek = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def onek(tmp_path: Path, store: Any) -> Onek:
    return lambda *words: subprocess.run(
        [ONEK, *map(str, words)], cwd=tmp_path, capture_output=True, text=True, check=False, env=dict(os.environ)
    )


def put(store: Any, key: str, content: bytes) -> None:
    with store.open_output_stream(key) as stream:
        stream.write(content)


def picture(number: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (40, 40, 3), np.uint8)).save(out, "PNG")
    return out.getvalue()


def template_file(path: Path, first: int, count: int) -> Path:
    made = people(first, count)
    with TemplateWriter(path, made.provenance) as writer:
        for batch in made.table.to_batches():
            writer.write(batch)
    return path


def test_what_is_a_remote_path():
    assert places.is_remote("s3://b/k")
    assert places.is_remote(Path("s3://b/k"))
    assert places.is_remote("gs://b/k")
    for other in ("b/k", "/s3:/b", "s3", "http://b/k", "milvus://h:1/g"):
        assert not places.is_remote(other)
    assert places.uri(Path("gs://b/k/../x y")) == "gs://b/k/../x y"
    for nothing in ("s3:/", "s3://"):
        with pytest.raises(StorageError, match="s3:// names no bucket"):
            places.is_remote(nothing)


def test_the_whole_way_in_object_storage(onek, store, bucket):
    for person in range(12):
        for number in range(2):
            put(store, f"{bucket}/photos/p{person:02}/{number}.png", picture(person + 12 * number))
    put(store, f"{bucket}/photos/p03/broken.jpg", b"no picture")
    put(store, f"{bucket}/photos/p03/notes.txt", b"not for us")
    at = f"s3://{bucket}"
    embedded = onek("embed", f"{at}/photos", "-o", f"{at}/out/t.parquet", "--encoder", "pixels", "--faces", "none")
    assert embedded.returncode == 3, embedded.stderr
    assert embedded.stdout == f"25 images: 24 templates in {at}/out/t.parquet, 1 problem in {at}/out/t.problems.csv\n"
    rows = list(csv.DictReader(io.StringIO(places.read(Path(f"{at}/out/t.problems.csv")).decode())))
    assert [row["source"] for row in rows] == [f"{at}/photos/p03/broken.jpg"]
    made = read_templates(f"{at}/out/t.parquet")
    assert made.table["identity"].to_pylist()[:3] == ["p00", "p00", "p01"]
    assert made.table["source"][0].as_py() == f"{at}/photos/p00/0.png"

    built = onek("build-index", f"{at}/out/t.parquet", "-o", f"{at}/g")
    assert built.returncode == 0, built.stderr
    assert built.stdout.startswith(f"24 templates of 12 identities in {at}/g")
    again = onek("build-index", f"{at}/out/t.parquet", "-o", f"{at}/g")
    assert again.returncode == 2
    assert f"{at}/g exists already" in again.stderr
    words = ("identify", f"{at}/photos/p05", "-g", f"{at}/g", "-o", f"{at}/r.csv", "--threshold", "0.2")
    identified = onek(*words)
    assert identified.stdout.splitlines()[-1] == f"2 probe faces: 2 identified, 0 unknown, 0 failed, in {at}/r.csv"
    found = list(csv.DictReader(io.StringIO(places.read(Path(f"{at}/r.csv")).decode())))
    assert [(row["probe"], row["identity"]) for row in found] == [(f"{at}/photos/p05/{n}.png", "p05") for n in range(2)]
    assert onek(*words).returncode == 2
    assert onek(*words, "--overwrite").returncode == 0
    assert onek("verify", f"{at}/photos/p05/0.png", "p05", "-g", f"{at}/g", "--threshold", "0.2").returncode == 0
    assert onek("check", f"{at}/g").stdout == f"{at}/g is whole\n"
    assert len(onek("list", f"{at}/g").stdout.splitlines()) == 13
    assert "pixels" in onek("info", f"{at}/g").stdout
    put(store, f"{bucket}/l.csv", b"path,identity\nphotos/p01/0.png,someone\n")
    listed = onek("embed", f"{at}/l.csv", "-o", "here.parquet", "--encoder", "pixels", "--faces", "none")
    assert listed.returncode == 0, listed.stderr
    for command in (["enroll", f"{at}/out/t.parquet", "-g"], ["remove", "p01", "-g"], ["calibrate"], ["compact"]):
        done = onek(*command, f"{at}/g")
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert at in done.stderr


def test_a_gallery_in_object_storage_decides_as_one_in_a_folder(store, bucket, tmp_path):
    here, there = build_gallery(people(0, 70), tmp_path / "g"), build_gallery(people(0, 70), f"s3://{bucket}/g")
    assert here.identify(probes(), threshold=0.5).table.equals(there.identify(probes(), threshold=0.5).table)
    assert open_gallery(f"s3://{bucket}/g").address == f"s3://{bucket}/g"
    assert (
        open_gallery(f"s3://{bucket}/g")
        .identify(probes(), threshold=0.5)
        .table.equals(here.identify(probes(), threshold=0.5).table)
    )


def names_below(store: Any, folder: str) -> list[str]:
    return sorted(Path(each.path).name for each in store.get_file_info(fs.FileSelector(folder, recursive=True)) if each.is_file)


def test_galleries_are_copied_merged_audited_and_replaced_there(onek, store, bucket, tmp_path):
    at = f"s3://{bucket}"
    local = build_gallery(people(0, 30), tmp_path / "g")
    build_gallery(people(30, 30), f"{at}/other")
    assert onek("backup", "g", f"{at}/copy").returncode == 0
    assert (
        open_gallery(f"{at}/copy").identify(probes(), threshold=0.5).table.equals(local.identify(probes(), threshold=0.5).table)
    )
    assert onek("backup", f"{at}/copy", "back").returncode == 0
    assert onek("check", "back").returncode == 0
    merged = onek("merge", "g", f"{at}/other", "-o", f"{at}/both")
    assert merged.stdout.splitlines()[0] == f"120 templates of 60 identities in {at}/both", merged.stderr
    here = onek("audit", "g", "-o", "here.csv")
    there = onek("audit", f"{at}/copy", "-o", f"{at}/there.csv")
    assert here.stdout.replace("here.csv", f"{at}/there.csv") == there.stdout, there.stderr
    assert places.read(Path(f"{at}/there.csv")) == (tmp_path / "here.csv").read_bytes()

    assert onek("backup", f"{at}/other", f"{at}/copy").returncode == 2
    before = names_below(store, f"{bucket}/copy")
    assert onek("backup", f"{at}/other", f"{at}/copy", "--overwrite").returncode == 0
    assert len(names_below(store, f"{bucket}/copy")) == len(before)
    assert onek("list", f"{at}/copy").stdout.splitlines()[1] == "person 030,2"
    put(store, f"{bucket}/photos/a.png", picture(1))
    refused = onek("backup", f"{at}/other", f"{at}/photos", "--overwrite")
    assert refused.returncode == 2
    assert names_below(store, f"{bucket}/photos") == ["a.png"]


def test_what_is_replaced_while_it_is_copied_is_copied_again(store, bucket, tmp_path, monkeypatch):
    old, new = build_gallery(people(0, 30), tmp_path / "old"), build_gallery(people(30, 30), tmp_path / "new")
    where = Path(f"s3://{bucket}/g")
    places.upload_folder(old.path, where, last=NAME)
    copied, left = places._copied.__wrapped__, [new]

    def disturbed(path: Path, marks: Any) -> Path:
        if left:
            places.upload_folder(left.pop().path, where, last=NAME)
        return copied(path, marks)

    monkeypatch.setattr(places, "_copied", disturbed)
    assert open_gallery(where).identify(probes(), threshold=0.5).table.equals(new.identify(probes(), threshold=0.5).table)
    monkeypatch.setattr(places, "_copied", lambda *_: places.read(Path(f"s3://{bucket}/never")))
    with pytest.raises(StorageError, match="changed 5 times while it was read"):
        open_gallery(where)


@pytest.mark.slow
def test_an_encoder_is_trained_into_object_storage(onek, store, bucket, tmp_path):
    for person in range(10):
        for number in range(4):
            put(store, f"{bucket}/photos/p{person}/{number}.png", picture(10 * person + number))
    at = f"s3://{bucket}"
    words = ("train", f"{at}/photos", "-o", f"{at}/e.keras", "--faces", "none", "--epochs", "1", "--steps", "1")
    trained = onek(*words, "--identities", "4", "--each", "2", "--validation", "0.3")
    assert trained.returncode == 0, trained.stderr
    assert not list(tmp_path.glob("*.training"))
    assert {"e.keras", "e.json", "e.epochs.csv"} <= set(names_below(store, bucket))
    assert begun(f"{at}/e.keras").start == str(Path(f"{at}/e.keras"))
    words = ("embed", f"{at}/photos", "-o", "t.parquet", "--faces", "none", "--encoder", f"{at}/e.keras")
    assert onek(*words).stdout.startswith("40 images: 40 templates")
    kept = onek("train", f"{at}/photos", "-o", "e.keras", "--faces", "none", "--chips", f"{at}/chips")
    assert kept.returncode == 2
    assert f"{at}/chips: what --chips names is a folder of this machine" in kept.stderr


def test_a_run_that_was_cut_off_goes_on(onek, store, bucket, tmp_path):
    for person in range(300):
        put(store, f"{bucket}/photos/p{person:03}.png", picture(person))
    words = ("embed", f"s3://{bucket}/photos", "-o", f"s3://{bucket}/t.parquet", "--encoder", "pixels", "--faces", "none")
    put(store, f"{bucket}/t.parquet", b"old")
    refused = onek(*words)
    assert refused.returncode == 2
    assert places.read(Path(f"s3://{bucket}/t.parquet")) == b"old"
    (tmp_path / "t.parquet.partial").mkdir()
    store.delete_file(f"{bucket}/t.parquet")
    assert "--resume" in onek(*words).stderr
    assert onek(*words, "--resume").returncode == 0
    assert len(read_templates(f"s3://{bucket}/t.parquet")) == 300


def test_a_key_that_vanished_is_a_problem_of_its_own(store, bucket):
    for number in range(3):
        put(store, f"{bucket}/{number}.png", picture(number))
    photographs = find_photographs([Path(f"s3://{bucket}")])
    assert [each.source for each in photographs] == [f"s3://{bucket}/{number}.png" for number in range(3)]
    store.delete_file(f"{bucket}/1.png")
    from engine.embedding.embedder import Embedder
    from engine.encoders import load_encoder

    outcomes = list(Embedder(load_encoder("pixels"), "none").stream(photographs))
    assert [each.problem for each in outcomes] == [None, "cannot be read: No such file or directory", None]


def test_what_changed_is_read_anew(store, bucket, tmp_path):
    where = Path(f"s3://{bucket}/t.parquet")
    places.upload(template_file(tmp_path / "a.parquet", 0, 5), where)
    assert len(read_templates(where)) == 10
    copied = places.local(where)
    assert places.local(where) == copied
    places.upload(template_file(tmp_path / "b.parquet", 0, 9), where)
    assert len(read_templates(where)) == 18


def test_a_template_file_is_found_once(store, bucket, tmp_path):
    """What replaces it while it is read is another file: its count and its rows are of one."""
    where = Path(f"s3://{bucket}/t.parquet")
    places.upload(template_file(tmp_path / "a.parquet", 0, 5), where)
    file = TemplateFile(where)
    places.upload(template_file(tmp_path / "b.parquet", 0, 9), where)
    assert file.path == where
    assert file.count() == sum(map(len, file.stream())) == 10
    assert TemplateFile(where).count() == 18


def test_messages_say_which_object_is_damaged(store, bucket):
    put(store, f"{bucket}/in/bad.parquet", b"no templates")
    put(store, f"{bucket}/h.npz", b"no head")
    with pytest.raises(TemplatesError, match=f"{bucket}/in/bad.parquet"):
        read_templates(f"s3://{bucket}/in/bad.parquet")
    with pytest.raises(TrainingError, match=f"{bucket}/h.npz: nothing that onek has learnt"):
        read_pair_verifier(Path(f"s3://{bucket}/h.npz"))


def test_a_key_that_leads_elsewhere_is_not_copied(store, bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "_copies", lambda: str(tmp_path))
    leads = Path(f"s3://{bucket}/g/../../../../outside")
    monkeypatch.setattr(places, "_marks", lambda _: ((leads, 0, 1),))
    with pytest.raises(StorageError, match="a key with .. in it"):
        places.local(Path(f"s3://{bucket}/g"))
    assert not (tmp_path.parent / "outside").exists()


def test_what_is_not_there(onek, store, bucket, tmp_path):
    with pytest.raises(TemplatesError, match="no such template file"):
        read_templates(f"s3://{bucket}/nothing.parquet")
    with pytest.raises(GalleryError):
        open_gallery(f"s3://{bucket}/nothing")
    template_file(tmp_path / "t.parquet", 0, 20)
    for words, says in (
        (
            ("build-index", "t.parquet", "-o", "s3://no-such-bucket-at-all/g"),
            "s3://no-such-bucket-at-all/g: there is no such bucket",
        ),
        (("identify", "t.parquet", "-g", f"s3://{bucket}/g", "-o", "r.csv"), f"s3://{bucket}/g: no such gallery"),
        (("info", "s3://no-such-bucket-at-all/g"), "s3://no-such-bucket-at-all/g: there is no bucket no-such-bucket-at-all"),
        (("info", "s3://"), "s3:// names no bucket; expected s3://BUCKET/KEY"),
        (("embed", f"s3://{bucket}/nothing", "-o", "o.parquet"), "no such file or folder"),
        (("info", f"s3://{bucket}/nothing"), f"s3://{bucket}/nothing"),
        (("backup", f"s3://{bucket}/nothing", "copy"), "no such gallery"),
    ):
        done = onek(*words)
        assert done.returncode == 2, (words, done.stdout, done.stderr)
        assert len([line for line in done.stderr.splitlines() if line.startswith("onek: ")]) == 1
        assert says in done.stderr, done.stderr


def test_messages_name_what_the_user_named(onek, store, bucket, tmp_path):
    """Not the copies that are read here, nor the folder that a gallery is made in before it goes there."""
    put(store, f"{bucket}/g/catalogue.sqlite", b"no database")
    template_file(tmp_path / "t.parquet", 0, 20)
    for words in (("info", f"s3://{bucket}/g"), ("build-index", "t.parquet", "-o", f"s3://{bucket}/h", "--index", "ivf")):
        done = onek(*words)
        assert done.returncode == 2, done.stdout
        assert tempfile.gettempdir() not in done.stderr
        assert f"s3:/{bucket}" not in done.stderr
    assert f"s3://{bucket}/g: its catalogue is damaged" in onek("info", f"s3://{bucket}/g").stderr


def test_where_nothing_can_be_written_is_said_before_the_work(store, bucket, monkeypatch):
    """And what was tried leaves nothing."""
    worked = []
    monkeypatch.setattr(Gallery, "build", lambda *_, **__: worked.append(1))
    with pytest.raises(StorageError, match="there is no such bucket"):
        build_gallery(people(0, 20), "s3://no-such-bucket-at-all/g")
    check_output(Path(f"s3://{bucket}/r.csv"), overwrite=False)
    assert (worked, names_below(store, bucket)) == ([], [])


def test_a_store_that_does_not_answer(onek, monkeypatch, tmp_path):
    template_file(tmp_path / "t.parquet", 0, 20)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    start = time.monotonic()
    done = onek("build-index", "s3://bucket/t.parquet", "-o", "g")
    assert done.returncode == 2
    assert done.stderr.strip().startswith("onek: s3://bucket/t.parquet: the store does not answer as it should"), done.stderr
    assert time.monotonic() - start < 60


def test_credentials_that_are_missing_or_refused(store, bucket, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("When getting information for key 'k' in bucket 'b': AWS Error ACCESS_DENIED during HeadObject operation")

    class Refusing:
        get_file_info = refuse

    monkeypatch.setattr(places, "_store", lambda *_: Refusing())
    with pytest.raises(StorageError, match="credentials are missing or refused; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        read_templates(f"s3://{bucket}/t.parquet")
    with pytest.raises(StorageError, match="set GOOGLE_APPLICATION_CREDENTIALS"):
        read_templates(f"gs://{bucket}/t.parquet")


def test_an_output_that_fails_leaves_nothing(store, bucket, monkeypatch):
    from engine.files.atomic_files import whole_file

    with pytest.raises(RuntimeError), whole_file(Path(f"s3://{bucket}/o.txt")) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert not places.exists(Path(f"s3://{bucket}/o.txt"))
