"""Whole files of every kind, and who reads them: what is damaged by the thousand."""

import hashlib
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from scipy.io import wavfile

from benchmarks.accuracy.verification import read_pairs
from benchmarks.data.lfw import read_lfw_pairs
from engine.arrays import Cube, Window, cube_of, read_named, windows_of
from engine.embedding.photographs import find_photographs
from engine.encoders.custom import read_card
from engine.encoders.registry import network_files
from engine.errors import OnekError
from engine.exchange.importing import foreign_templates
from engine.faces.images import decode
from engine.gallery.gallery import Gallery
from engine.maintenance.integrity import check
from engine.storage import sealing
from engine.tables.lists import read_names
from engine.templates.model import Templates
from engine.templates.parquet import read_templates
from indexes.approximate.faiss_factory import Factory
from indexes.files import VectorWriter, open_vectors
from indexes.registry import KINDS, load_index

_DIM = 16
# Vectors of an index, and strings of FAISS that between them hold all that an index file may.
_WIDE = 1100
STRINGS = ("HNSW4", "OPQ4,IVF8_HNSW4,SQ8", "IVF8,Flat", "IVF8,PQ4x4,RFlat", "PQ4x4,Refine(SQfp16)", "PCA8,IVF8,PQ4x4fsr")
# Pillow's names of the formats in which it writes pictures of each mode.
_IMAGES = {
    "RGB": ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM", "TGA"),
    "L": ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM", "TGA"),
    "P": ("PNG", "BMP", "TIFF", "GIF", "TGA"),
    "CMYK": ("JPEG", "TIFF"),
}


@dataclass(frozen=True)
class Reader:
    """Who reads: `seeds` writes whole files into a folder and names those that are to be damaged; `read` is given the folder, and
    the file of it that was damaged.
    """

    seeds: Callable[[Path], list[Path]]
    read: Callable[[Path, Path], object]


def _images(folder: Path) -> list[Path]:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 30, 3), np.uint8))
    paths = []
    for mode, kinds in _IMAGES.items():
        for kind in kinds:
            paths.append(folder / f"{mode}.{kind.lower()}")
            picture.convert(mode).save(paths[-1], kind)
    for kind in ("PNG", "WEBP", "TIFF"):
        paths.append(folder / f"moves.{kind.lower()}")
        picture.save(paths[-1], kind, save_all=True, append_images=[picture.rotate(90), picture.rotate(180)])
    return paths


def _people() -> Templates:
    vectors = np.random.default_rng(0).normal(size=(60, _DIM))
    return Templates.from_vectors(vectors, [f"id{number}" for number in range(60)], [f"id{number}#0" for number in range(60)])


def _templates(folder: Path) -> list[Path]:
    pq.write_table(_people().table, folder / "ours.parquet")
    return [folder / "ours.parquet"]


def _foreign(folder: Path) -> list[Path]:
    vectors = np.random.default_rng(0).normal(size=(20, _DIM)).astype(np.float32)
    table = pa.table({"embedding": vectors.astype(float).tolist(), "identity": [f"id{number}" for number in range(20)]})
    pq.write_table(table, folder / "theirs.parquet")
    np.save(folder / "theirs.npy", vectors)
    np.savez(folder / "theirs.npz", vector=vectors, identity=np.array([f"id{number}" for number in range(20)]))
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel().astype(np.float16)), _DIM)
    names = pa.array([f"id{number % 5}".encode() for number in range(20)]).dictionary_encode()
    odd = pa.table({"vector": fixed, "identity": names, "template_id": range(20), "source": ["a.jpg", None] * 10})
    pq.write_table(odd, folder / "odd.parquet", row_group_size=7)
    np.savez_compressed(folder / "odd.npz", embedding=vectors.astype(">f8"), identity=np.array([b"kian"] * 20))
    return [folder / name for name in ("theirs.parquet", "theirs.npy", "theirs.npz", "odd.parquet", "odd.npz")]


def _lists(folder: Path) -> list[Path]:
    text = 'path,identity\na.jpg,kian\nb.jpg,"you, nes"\n'
    (folder / "list.csv").write_text(text)
    (folder / "marked.csv").write_bytes(text.encode("utf-8-sig"))
    (folder / "wide.csv").write_bytes(text.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"))
    (folder / "other.csv").write_text("\r".join(["File Name;Person;width", "a.jpg;kian;3", 'b.jpg;"you; nes";4', ""]))
    pq.write_table(pa.table({"path": ["a.jpg", "b.jpg"], "identity": ["kian", None]}), folder / "list.parquet")
    return [folder / name for name in ("list.csv", "marked.csv", "wide.csv", "other.csv", "list.parquet")]


def _names(folder: Path) -> list[Path]:
    (folder / "names.txt").write_text('kian\n"you, nes"\n\nZo\u00eb \n', encoding="utf-8")
    (folder / "wide.txt").write_text("kian\r\nZo\u00eb\r\n", encoding="utf-16")
    (folder / "table.txt").write_text("identity,templates\nkian,3\n'=cmd(),1\n")
    pq.write_table(pa.table({"identity": pa.array(["kian", "dan"]).dictionary_encode()}), folder / "names.parquet")
    return [folder / name for name in ("names.txt", "wide.txt", "table.txt", "names.parquet")]


def _pairs(folder: Path) -> list[Path]:
    (folder / "pairs.csv").write_text("a,b,same\nx/1.jpg,x/2.jpg,1\nx/1.jpg,y/1.jpg,0\n")
    (folder / "lfw.txt").write_text("10\t300\nA_B\t1\t2\nA_B\t1\tC\t3\n")
    return [folder / "pairs.csv", folder / "lfw.txt"]


def _arrays(folder: Path) -> list[Path]:
    """Recordings and volumes in every format that is read."""
    from nibabel import Nifti1Image, Nifti2Image

    random = np.random.default_rng(0)
    signal, volume = random.normal(size=(400, 2)).astype(np.float32), random.integers(0, 900, (12, 10, 8), np.int16)
    for name, samples in (
        ("whole", (signal * 9000).astype(np.int16)),
        ("float", signal),
        ("byte", random.integers(0, 256, (300, 2), np.uint8)),
    ):
        wavfile.write(folder / f"{name}.wav", 100, samples)
    np.save(folder / "signal.npy", np.asfortranarray(signal.astype(">f8")))
    np.savez_compressed(folder / "signal.npz", signal=signal, rate=100.0)
    np.save(folder / "volume.npy", volume)
    np.savez(folder / "volume.npz", volume=volume, spacing=[1.0, 1.0, 2.0])
    for name, made in (("one.nii", Nifti1Image), ("two.nii", Nifti2Image), ("zipped.nii.gz", Nifti1Image)):
        made(volume, np.diag([1.0, 1.0, 2.0, 1.0])).to_filename(folder / name)
    return sorted(folder.iterdir())


def _read_array(_: Path, file: Path) -> None:
    sampled = read_named(file)[0]
    if file.name.startswith(("volume", "one", "two", "zipped")):
        cube_of(sampled, Cube(8))
    else:
        windows_of(sampled, Window(64, channels=2, rate=50.0))


def _of_tools(folder: Path) -> list[Path]:
    """What other tools keep: pickles of values and of arrays, JSON, CSV. A file's name begins with its tool's."""
    vectors = np.random.default_rng(0).normal(size=(6, _DIM))
    names = [f"id{number}" for number in range(6)]
    rows = [{"identity": f"people/{name}/1.jpg", "embedding": row.tolist()} for name, row in zip(names, vectors, strict=True)]
    (folder / "deepface.pkl").write_bytes(pickle.dumps(rows))
    for protocol in (0, 2, 5):
        held = {"encodings": list(vectors), "names": names}
        (folder / f"face_recognition.{protocol}.pkl").write_bytes(pickle.dumps(held, protocol))
    (folder / "insightface.pkl").write_bytes(pickle.dumps({"embeddings": vectors.astype(np.float32), "labels": names}))
    table = [f'{name},"{row.tolist()}"' for name, row in zip(names, vectors, strict=True)]
    (folder / "compreface.csv").write_text("\n".join(["subject_name,embedding", *table, ""]))
    points = [{"id": at, "vector": row.tolist(), "payload": {"name": names[at]}} for at, row in enumerate(vectors)]
    (folder / "qdrant.json").write_text(json.dumps({"result": {"points": points}}))
    lines = [json.dumps({"person_name": name, "embedding": str(row.tolist())}) for name, row in zip(names, vectors, strict=True)]
    (folder / "immich.jsonl").write_text("\n".join(lines))
    return sorted(folder.iterdir())


def _read_tool(_: Path, file: Path) -> None:
    for _part in foreign_templates(file.name.split(".")[0], [file]):
        pass


def _card(folder: Path) -> list[Path]:
    points = [[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]]
    (folder / "net.onnx").write_bytes(b"a network")
    (folder / "net.json").write_text(json.dumps({"size": 112, "points": points, "dim": 512, "threshold": 1.1}))
    return [folder / "net.json"]


def _gallery(folder: Path) -> Path:
    gallery = Gallery.build(_people(), folder / "g")
    gallery.enroll(Templates.from_vectors(np.random.default_rng(1).normal(size=(3, _DIM)), ["new"] * 3, ["n0", "n1", "n2"]))
    gallery.remove(["id5"])
    gallery.rename("id6", "six")
    gallery.close()
    return folder / "g"


def _tailed(folder: Path) -> list[Path]:
    """The files of a gallery with a tail, as large ones have."""
    vectors = np.random.default_rng(1).normal(size=(60, _DIM))
    names = [f"new{number}" for number in range(60)]
    large = patch.multiple(sealing, SMALL=_WIDE // 2, SEAL_AT=50)
    with large, Gallery.build(_wide(), folder / "g", index="ivf", recall=0.9) as gallery:
        gallery.enroll(Templates.from_vectors(vectors, names, names))
        gallery.remove(["new5"])
        gallery.rename("new6", "six")
    return sorted((folder / "g").glob("segment-*"))


def _ask_anew(folder: Path, file: Path) -> None:
    if file.suffix == ".index":
        _hash_anew(file)
    _ask(folder / "g")


def _ask(folder: Path) -> None:
    """Everything that a reader of a gallery does; each answer or error stands for itself."""
    errors = []
    probes = np.random.default_rng(2).normal(size=(4, _DIM))
    for question in (
        lambda: Gallery.open(folder).identify(probes, threshold=0.5),
        lambda: Gallery.open(folder).identify(probes),
        lambda: Gallery.open(folder).info(),
        lambda: Gallery.open(folder).sources(),
        lambda: check(folder),
    ):
        try:
            question()
        except OnekError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _change(folder: Path) -> None:
    gallery = Gallery.open(folder)
    gallery.enroll(Templates.from_vectors(np.random.default_rng(3).normal(size=(1, _DIM)), ["newest"], ["n3"]))
    gallery.remove(["newest"])
    gallery.close()


def _indexes(folder: Path) -> list[Path]:
    vectors = _wide().vectors
    with VectorWriter(folder / "vectors.npy", _DIM) as writer:
        writer.write(vectors)
    made = [KINDS[kind].build(vectors) for kind in KINDS if kind != Factory.kind]
    made += [Factory.build(vectors, factory=string) for string in STRINGS]
    paths = [folder / f"{number}.index" for number in range(len(made))]
    for index, path in zip(made, paths, strict=True):
        index.save(path)
    return paths


def _wide() -> Templates:
    """As many as lists and codes are learnt from."""
    names = [f"id{number}" for number in range(_WIDE)]
    return Templates.from_vectors(np.random.default_rng(0).normal(size=(_WIDE, _DIM)), names, names)


def _read_index(folder: Path, file: Path) -> None:
    _hash_anew(file)
    vectors = open_vectors(folder / "vectors.npy")
    index = load_index(file, vectors)
    probes = vectors[:4]
    index.search(probes, 3)
    index.extend(np.concatenate([vectors, probes]))
    index.search(probes, 3)


def _hash_anew(file: Path) -> None:
    """Let an index file have the hash of what it holds, as whoever means harm would."""
    parts = file.read_bytes().split(b"\n", 2)
    try:
        header = json.loads(parts[1])
        header.pop("sha256", None)
        said = json.dumps(header, sort_keys=True).encode()
    except (IndexError, ValueError, AttributeError, RecursionError):
        return
    header["sha256"] = hashlib.sha256(said + b"".join(parts[2:])).hexdigest()
    said_anew = json.dumps(header).encode().ljust(len(parts[1]))
    file.write_bytes(b"\n".join([parts[0], said_anew, *parts[2:]]))


READERS = {
    "images": Reader(_images, lambda _, file: decode(file)),
    "templates": Reader(_templates, lambda _, file: read_templates(file)),
    "foreign": Reader(_foreign, lambda _, file: read_templates(file)),
    "names": Reader(_names, lambda _, file: read_names(file)),
    "pairs": Reader(_pairs, lambda _, file: read_pairs(file) if file.suffix == ".csv" else read_lfw_pairs(file)),
    "lists": Reader(_lists, lambda folder, file: find_photographs([file], str(folder / "list.csv"))),
    "arrays": Reader(_arrays, _read_array),
    "tools": Reader(_of_tools, _read_tool),
    "encoder": Reader(_card, lambda folder, _: read_card(network_files(str(folder / "net.onnx")))),
    "index": Reader(_indexes, _read_index),
    "segment": Reader(lambda folder: sorted(_gallery(folder).glob("segment-*")), lambda folder, _: _ask(folder / "g")),
    "tail": Reader(_tailed, _ask_anew),
    "catalogue": Reader(lambda folder: [_gallery(folder) / "catalogue.sqlite"], lambda folder, _: _ask(folder / "g")),
    "changes": Reader(lambda folder: sorted(_gallery(folder).glob("*.*")), lambda folder, _: _change(folder / "g")),
}
