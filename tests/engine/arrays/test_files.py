"""Files of arrays: every format gives the same numbers, and what cannot be read is a problem in a line."""

import gzip
import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from engine.arrays.files import SIGNALS, VOLUMES, read_named
from engine.arrays.sampled import MOST_BYTES, Sampled
from engine.errors import ImageProblem
from engine.faces.images import ImageBytes, find_files

SIGNAL = np.random.default_rng(0).normal(size=3000).astype(np.float32)
VOLUME = np.random.default_rng(1).normal(size=(9, 7, 5)).astype(np.float32)


def problem(file: Path | ImageBytes) -> str:
    with pytest.raises(ImageProblem) as caught:
        read_named(file)
    return str(caught.value)


def npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def test_numpy_files(tmp_path: Path) -> None:
    for array in (SIGNAL, VOLUME, np.asfortranarray(VOLUME), (SIGNAL * 9).astype(np.int16), SIGNAL > 0, SIGNAL.astype(">f8")):
        np.save(tmp_path / "a.npy", array)
        found, name = read_named(tmp_path / "a.npy")
        np.testing.assert_array_equal(found.values, array)
        assert (found.rate, found.spacing) == (None, None)
        assert read_named(ImageBytes((tmp_path / "a.npy").read_bytes()))[1] == name
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "s.npz", ecg=SIGNAL, rate=500)
        found = read_named(tmp_path / "s.npz")[0]
        np.testing.assert_array_equal(found.values, SIGNAL)
        assert found.rate == 500
        save(tmp_path / "v.npz", VOLUME, spacing=[1, 2, 2.5])
        assert read_named(tmp_path / "v.npz")[0].spacing == (1, 2, 2.5)
    # What a file is its bytes say.
    (tmp_path / "s.npz").rename(tmp_path / "s.npy")
    np.testing.assert_array_equal(read_named(tmp_path / "s.npy")[0].values, SIGNAL)


def test_waves(tmp_path: Path) -> None:
    for kind, tolerance in ((np.float32, 0), (np.int32, 1e-7), (np.int16, 1e-4), (np.uint8, 1e-2)):
        wave = SIGNAL / 8
        largest = 1.0 if kind is np.float32 else 2.0 ** (8 * np.dtype(kind).itemsize - 1)
        middle = largest if kind is np.uint8 else 0
        wavfile.write(tmp_path / "w.wav", 360, (wave * largest + middle).astype(kind))
        found = read_named(tmp_path / "w.wav")[0]
        np.testing.assert_allclose(found.values, wave, atol=tolerance)
        assert found.rate == 360
    wavfile.write(tmp_path / "w.wav", 360, np.stack([SIGNAL, -SIGNAL], axis=1))
    assert read_named(tmp_path / "w.wav")[0].values.shape == (3000, 2)


def test_nifti(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    affine = np.diag([1.0, 2.0, 2.5, 1.0])
    for kind, name in ((nibabel.Nifti1Image, "a.nii"), (nibabel.Nifti1Image, "a.nii.gz"), (nibabel.Nifti2Image, "b.nii.gz")):
        nibabel.save(kind(VOLUME, affine), tmp_path / name)
        found = read_named(tmp_path / name)[0]
        np.testing.assert_array_equal(found.values, VOLUME)
        assert found.spacing == (1, 2, 2.5)
    scaled = nibabel.Nifti1Image((VOLUME * 100).astype(np.int16), affine)
    scaled.header.set_slope_inter(0.01, 3)
    nibabel.save(scaled, tmp_path / "s.nii")
    np.testing.assert_allclose(read_named(tmp_path / "s.nii")[0].values, nibabel.load(tmp_path / "s.nii").get_fdata(), atol=1e-6)
    big_endian = nibabel.Nifti1Image(VOLUME, affine).as_reoriented(np.array([[0, 1], [1, 1], [2, 1]]))
    nibabel.save(nibabel.Nifti1Image(VOLUME[..., None], affine, big_endian.header), tmp_path / "t.nii")
    assert read_named(tmp_path / "t.nii")[0].values.shape == VOLUME.shape
    whole = (tmp_path / "a.nii").read_bytes()
    assert "no array that can be read" in problem(ImageBytes(whole[:100]))
    for cut in (350, 400, len(whole) - 1):
        assert "truncated" in problem(ImageBytes(whole[:cut]))
    assert "cut short" in problem(ImageBytes((tmp_path / "a.nii.gz").read_bytes()[:-20]))
    # A header may ask for anything; it is refused before memory is.
    huge = bytearray(whole)
    huge[40:56] = struct.pack("<8h", 3, 30000, 30000, 30000, 1, 1, 1, 1)
    assert f"at most {MOST_BYTES:,}" in problem(ImageBytes(bytes(huge)))
    assert f"at most {MOST_BYTES:,}" in problem(ImageBytes(gzip.compress(bytes(huge))))


def test_what_is_no_array_of_numbers_is_a_problem() -> None:
    assert problem(ImageBytes(b"")) == "the file is empty"
    assert "no array that can be read" in problem(ImageBytes(b"hello"))
    assert "not unpickled" in problem(ImageBytes(npy(np.array([{}, 1], object), allow_pickle=True)))
    assert "real numbers" in problem(ImageBytes(npy(np.array([1j]))))
    assert "real numbers" in problem(ImageBytes(npy(np.array(["a"]))))
    assert "truncated" in problem(ImageBytes(npy(SIGNAL)[:-1]))
    assert "damaged" in problem(ImageBytes(npy(SIGNAL)[:60]))
    assert "damaged" in problem(ImageBytes(b"\x93NUMPY\x01\x00\x10\x00" + b"{" * 16))
    assert "no array that can be read" in problem(ImageBytes(b"RIFF\0\0\0\0AVI "))
    assert "truncated" in problem(ImageBytes(b"RIFF\x24\0\0\0WAVEfmt "))
    assert "NIfTI" in problem(ImageBytes(gzip.compress(b"hello")))
    assert "damaged or cut short" in problem(ImageBytes(b"\x1f\x8bhello"))


def archive(**members: bytes) -> ImageBytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as written:
        for name, data in members.items():
            written.writestr(f"{name}.npy", data)
    return ImageBytes(stream.getvalue())


def test_archives_are_refused_in_a_line() -> None:
    assert "2 arrays (a, b)" in problem(archive(a=npy(SIGNAL), b=npy(SIGNAL)))
    assert "0 arrays (none)" in problem(archive(rate=npy(np.array(5))))
    assert "rate is 0, expected a number above 0" in problem(archive(a=npy(SIGNAL), rate=npy(np.array(0))))
    assert "rate is" in problem(archive(a=npy(SIGNAL), rate=npy(np.array(np.nan))))
    assert "expected 3 numbers above 0" in problem(archive(a=npy(VOLUME), spacing=npy(np.array([1, 2]))))
    assert "not unpickled" in problem(archive(a=npy(np.array([{}], object), allow_pickle=True)))
    assert "bytes unpack to" in problem(archive(a=npy(np.zeros(1 << 24))))
    whole = archive(a=npy(SIGNAL)).data
    assert "damaged" in problem(ImageBytes(whole[: len(whole) // 2]))


def test_a_volume_larger_than_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (4096, 4096, 4096)})
    with (tmp_path / "huge.npy").open("wb") as file:
        file.write(stream.getvalue())
        file.truncate(1 << 38)  # on disk it takes nothing
    assert f"at most {MOST_BYTES:,} are read" in problem(tmp_path / "huge.npy")
    lying = stream.getvalue().replace(b"(4096, 4096, 4096)", b"(100, 100, 100)   ")
    assert "truncated" in problem(ImageBytes(lying))


def test_no_mutilated_file_crashes(tmp_path: Path) -> None:
    """Single bytes changed or cut anywhere: numbers, or a problem."""
    pytest.importorskip("nibabel")
    import nibabel

    wavfile.write(tmp_path / "w.wav", 360, (SIGNAL[:50] * 100).astype(np.int16))
    nibabel.save(nibabel.Nifti1Image(VOLUME, np.eye(4)), tmp_path / "v.nii")
    wholes = [npy(SIGNAL[:50]), archive(a=npy(SIGNAL[:50]), rate=npy(np.array(5))).data]
    wholes += [(tmp_path / name).read_bytes() for name in ("w.wav", "v.nii")]
    random = np.random.default_rng(0)
    read = 0
    for whole in wholes:
        for _ in range(150):
            data = bytearray(whole)
            for at in random.integers(0, min(len(data), 400), random.integers(1, 4)):
                data[at] = random.integers(0, 256)
            try:
                found = read_named(ImageBytes(bytes(data[: random.integers(len(data) // 2, len(data) + 1)])))[0]
            except ImageProblem:
                continue
            assert isinstance(found, Sampled)
            read += 1
    assert read


def test_files_are_found_by_their_endings(tmp_path: Path) -> None:
    names = ["a/1.npy", "a/2.NPZ", "b/3.wav", "b/scan.nii", "b/scan2.nii.gz", "b/4.jpg", "b/.5.npy", "c.txt", "@eaDir/6.npy"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    left: list[str] = []
    found = [str(path.relative_to(tmp_path)) for path in find_files(tmp_path, SIGNALS, lambda each: left.append(each.why))]
    assert found == ["a/1.npy", "a/2.NPZ", "b/3.wav"]
    assert left == ["recordings in folders that machines make"]
    found = [str(path.relative_to(tmp_path)) for path in find_files(tmp_path, VOLUMES)]
    assert found == ["a/1.npy", "a/2.NPZ", "b/scan.nii", "b/scan2.nii.gz"]


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.npy")
    assert problem(tmp_path / "p.npy") == "no regular file"
    assert "cannot be read" in problem(tmp_path / "nothing.npy")
