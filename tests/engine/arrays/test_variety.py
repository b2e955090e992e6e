"""Every kind of WAV, NIfTI and NumPy file that there is: the same numbers, or a problem in one line."""

import gzip
import io
import logging
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.arrays import Cube, Sampled, Window, cube_of, read_named, windows_of
from engine.embedding import intake
from engine.errors import ImageProblem
from engine.faces.images import ImageBytes

SIGNAL = 0.5 * np.sin(np.arange(801) / 5)
VOLUME = np.random.default_rng(0).normal(size=(9, 7, 5)).astype(np.float32)
PIPE = 0xFFFFFFFF


def read(data: bytes) -> Sampled:
    return read_named(ImageBytes(data))[0]


def problem(data: bytes) -> str:
    with pytest.raises(ImageProblem) as caught:
        read(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def coded(bits: int, kind: int) -> bytes:
    """The signal in so many bits a sample, of whole numbers (1) or floating ones (3)."""
    if kind == 3:
        return SIGNAL.astype(f"<f{bits // 8}").tobytes()
    if bits == 8:
        return np.round(SIGNAL * 128 + 128).astype(np.uint8).tobytes()
    return b"".join(round(each * (1 << bits - 1)).to_bytes(bits // 8, "little", signed=True) for each in SIGNAL.tolist())


def wave(
    samples: bytes,
    bits: int = 16,
    kind: int = 1,
    channels: int = 1,
    *,
    rate: int = 8000,
    more: bytes = b"",
    before: bytes = b"",
    whole: int | None = None,
    long: int | None = None,
) -> bytes:
    """A WAV file; `whole` and `long`: what its header says of the sizes of the file and of the samples."""
    frame = channels * bits // 8
    said = struct.pack("<HHIIHH", kind, channels, rate, rate * frame, frame, bits) + more
    body = b"WAVEfmt " + struct.pack("<I", len(said)) + said + before + b"data"
    body += struct.pack("<I", len(samples) if long is None else long) + samples + bytes(len(samples) % 2 if long is None else 0)
    return b"RIFF" + struct.pack("<I", len(body) if whole is None else whole) + body


@pytest.mark.parametrize(("bits", "kind"), [(8, 1), (16, 1), (24, 1), (32, 1), (32, 3), (64, 3)])
def test_waves_of_every_depth(bits: int, kind: int) -> None:
    data = coded(bits, kind)
    made = [wave(data, bits, kind), wave(data, bits, kind, before=b"LIST\x04\0\0\0INFO")]
    # As programs that write to a pipe leave it: no size, or the largest.
    made += [wave(data, bits, kind, whole=size, long=size) for size in (PIPE, 0x7FFFFFFF)]
    # Extensible: the kind is in a GUID behind.
    guid = struct.pack("<H", kind) + bytes.fromhex("000000001000800000aa00389b71")
    made.append(wave(data, bits, 0xFFFE, more=struct.pack("<HHI", 22, bits, 4) + guid))
    for each in made:
        found = read(each)
        np.testing.assert_allclose(found.values[:801], SIGNAL, atol=2.0**-bits + 1e-6 if kind == 1 else 1e-7)
        assert found.rate == 8000
        assert windows_of(found, Window(64)).shape == (4, 64, 1)
    assert "truncated" in problem(made[0][:-500])
    assert "truncated" in problem(made[0][:-501])


def test_channels_of_waves_and_their_byte_orders() -> None:
    both = np.stack([SIGNAL, -SIGNAL], axis=1)
    found = read(wave((both * 32768).astype("<i2").tobytes(), channels=2))
    np.testing.assert_allclose(found.values, both, atol=1e-4)
    with pytest.raises(ImageProblem, match=r"shape \(801, 2\), expected a signal: \(samples,\) or \(samples, 1\)"):
        windows_of(found, Window(64))
    assert windows_of(found, Window(64, channels=2)).shape == (4, 64, 2)
    big = b"WAVEfmt " + struct.pack(">IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16) + b"data" + struct.pack(">I", 1602)
    big += (SIGNAL * 32768).astype(">i2").tobytes()
    np.testing.assert_allclose(read(b"RIFX" + struct.pack(">I", len(big)) + big).values, SIGNAL, atol=1e-4)
    long = b"WAVEds64" + struct.pack("<IQQQI", 28, 4 + 36 + 24 + 8 + 1602, 1602, 801, 0)
    long += b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16) + b"data" + struct.pack("<I", PIPE) + coded(16, 1)
    np.testing.assert_allclose(read(b"RF64" + struct.pack("<I", PIPE) + long).values, SIGNAL, atol=1e-4)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (wave(coded(16, 1))[:30], "truncated: it says 1,646 bytes, and holds 30"),
        (wave(b""), "a WAV file of 0 samples"),
        (wave(coded(16, 1), rate=0), "801 samples, 0 a second"),
        (wave(coded(16, 1), channels=0), "damaged"),
        (wave(coded(16, 1), before=b"LIST" + struct.pack("<I", PIPE)), "lacks the part that says its format, or its samples"),
        (wave(coded(8, 1), 8, 7), "Unknown wave file format: MULAW"),
        (wave(b"", whole=0, long=0), "a WAV file of 0 samples"),
        (b"RF64" + wave(coded(16, 1))[4:], "damaged"),
    ],
)
def test_waves_that_are_none(data: bytes, words: str) -> None:
    assert words in problem(data)


def test_what_waves_of_nothing_show() -> None:
    for samples, bits, kind in ((bytes(1600), 16, 1), (bytes([128] * 800), 8, 1), (bytes(3200), 32, 3)):
        with pytest.raises(ImageProblem, match="silence: all samples are the same"):
            windows_of(read(wave(samples, bits, kind)), Window(64))
    for value in (np.nan, np.inf, 1e38):
        with pytest.raises(ImageProblem, match="800 of 800 numbers are NaN, infinite, or too large"):
            windows_of(read(wave(np.full(800, value, "<f4").tobytes(), 32, 3)), Window(64))


def npy(array: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version)
    return stream.getvalue()


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["f2", ">f2", "f4", ">f4", "f8", ">f8", "g", "i1", ">i2", "i4", ">i8", "u1", "u8", "?"])
def test_numpy_files_of_every_kind_of_number(kind: str) -> None:
    signal, volume = ((100 * np.maximum(each, 0)).astype(kind) for each in (SIGNAL, VOLUME))
    expected = windows_of(Sampled(signal.astype(np.float32)), Window(64))
    for version in ((1, 0), (2, 0), (3, 0)):
        found = windows_of(read(npy(signal, version)), Window(64))
        np.testing.assert_array_equal(found, expected)
        assert (found.dtype, found.dtype.isnative) == (np.float32, True)
    expected = cube_of(Sampled(volume.astype(np.float32)), Cube(8))
    for order in (np.ascontiguousarray, np.asfortranarray, lambda each: np.asfortranarray(each)[::-1][::-1]):
        np.testing.assert_array_equal(cube_of(read(npy(order(volume))), Cube(8)), expected)


def test_very_small_and_large_numbers_are_numbers() -> None:
    usual = windows_of(Sampled(SIGNAL), Window(64))
    for scale in (1e-35, 1e-20, 1e20, 1e29):
        np.testing.assert_allclose(windows_of(read(npy(SIGNAL * scale)), Window(64)), usual, atol=1e-3)
        cubes = [cube_of(Sampled(VOLUME.astype(np.float64) * each), Cube(8)) for each in (1, scale)]
        np.testing.assert_allclose(cubes[0], cubes[1], atol=1e-3)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (npz(a=SIGNAL, b=SIGNAL), "2 arrays (a, b); expected one, and rate or spacing beside it"),
        (npz(), "0 arrays (none)"),
        (npz(a=SIGNAL, rate="250"), "an array of <U3; expected real numbers"),
        (npz(a=SIGNAL, rate=[1, 2]), "rate is [1 2], expected a number above 0"),
        (npz(a=SIGNAL, rate=-3), "rate is -3"),
        (npz(a=SIGNAL, rate=np.array([{}], object)), "not unpickled"),
        (npz(a=np.array([{}], object)), "not unpickled"),
        (npz(a=VOLUME, spacing=[1, np.inf, 1]), "expected 3 numbers above 0"),
        (npy(np.zeros(3, "c8")), "an array of complex64"),
        (npy(np.zeros(3, "M8[s]")), "an array of datetime64[s]"),
        (npy(np.zeros(3, [("a", "f4")])), "expected real numbers"),
        (npy(np.zeros(3, "S3")), "expected real numbers"),
    ],
)
def test_numpy_files_that_hold_no_one_array_of_numbers(data: bytes, words: str) -> None:
    assert words in problem(data)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    """A pickle that would write a file if anybody loaded it."""

    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "harmed",)

    stream = io.BytesIO()
    np.save(stream, np.array([Harmful()], object), allow_pickle=True)
    whole = stream.getvalue()
    archive = io.BytesIO()
    np.savez(archive, a=np.array([Harmful()], object))
    for data in (whole, archive.getvalue(), whole[whole.index(b"\n") + 1 :]):
        problem(data)
    read(whole.replace(b"'|O'", b"'f4'"))  # its bytes, as numbers
    assert not (tmp_path / "harmed").exists()


def nifti(values: np.ndarray, affine: np.ndarray | None = None, **fields: Any) -> bytes:
    import nibabel

    header = nibabel.Nifti1Header()
    for field, value in fields.items():
        header[field] = value
    header.set_data_dtype(values.dtype)
    made = nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine, header)
    return bytes(made.to_bytes())


def patched(data: bytes, at: int, kind: str, *values: float) -> bytes:
    changed = bytearray(data)
    struct.pack_into(kind, changed, at, *values)
    return bytes(changed)


def test_nifti_files_as_scanners_write_them() -> None:
    nibabel = pytest.importorskip("nibabel")
    for kind in ("u1", "i2", "i4", "f4", "f8"):
        values = (VOLUME * 40 + 100).astype(kind)
        for data in (nifti(values), gzip.compress(nifti(values))):
            np.testing.assert_array_equal(read(data).values, values)
    scans = np.stack([VOLUME, -VOLUME], axis=-1)
    assert read(nifti(VOLUME[..., None])).values.shape == VOLUME.shape
    assert cube_of(read(nifti(scans)), Cube(8, channels=2)).shape == (1, 8, 8, 8, 2)
    with pytest.raises(ImageProblem, match=r"shape \(9, 7, 5, 2\), expected a volume: \(x, y, z\)"):
        cube_of(read(nifti(scans)), Cube(8))
    # Oblique and flipped: the voxels are as they lie, and as large as they are.
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]]
    found = read(nifti(VOLUME, turn @ np.diag([-1.0, 2, 3, 1])))
    np.testing.assert_array_equal(found.values, VOLUME)
    np.testing.assert_allclose(found.spacing or (), (1, 2, 3), rtol=1e-5)
    big = nibabel.Nifti1Header(endianness=">")
    big.set_data_shape(VOLUME.shape)
    big.set_data_dtype(np.float32)
    big["magic"], big["vox_offset"] = b"n+1", 352
    np.testing.assert_array_equal(read(big.binaryblock + bytes(4) + VOLUME.astype(">f4").tobytes(order="F")).values, VOLUME)
    whole = nifti((VOLUME * 100).astype(np.int16))
    for slope in (0.0, np.nan):  # none
        np.testing.assert_array_equal(read(patched(whole, 112, "<f", slope)).values, (VOLUME * 100).astype(np.int16))
    np.testing.assert_allclose(
        read(patched(whole, 112, "<2f", 0.5, -3)).values, (VOLUME * 100).astype(np.int16) * 0.5 - 3, atol=1e-5
    )


def test_nifti_files_that_are_damaged(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("nibabel")
    whole = nifti(VOLUME)
    packed = gzip.compress(whole)
    # A sum that does not fit, and one that was cut off: the voxels may be others.
    assert "CRC check failed" in problem(packed[:-8] + bytes(8))
    assert "damaged or cut short" in problem(packed[:-3])
    assert "damaged or cut short" in problem(packed[:-100])
    for at, kind, values in (
        (40, "<h", [9]),
        (42, "<h", [-5]),
        (42, "<h", [0]),
        (70, "<h", [1536]),
        (108, "<f", [0]),
        (108, "<f", [-5]),
        (108, "<f", [1e30]),
        (108, "<f", [np.nan]),
    ):
        assert "damaged" in problem(patched(whole, at, kind, *values))
    assert "expected real numbers" in problem(nifti(VOLUME.astype("c8")))
    assert "expected real numbers" in problem(nifti(np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])))
    # Sizes of voxels that are none say nothing, and are not made up.
    for wrong in (0, np.nan, np.inf):
        assert read(patched(whole, 80, "<3f", wrong, 1, 1)).spacing is None
    assert read(patched(whole, 80, "<3f", -1, -2, -3)).spacing == (1, 2, 3)
    # What is mended of a header is no matter of the user's terminal.
    logging.getLogger("engine.arrays.nifti").handlers[0].flush()
    assert capfd.readouterr() == ("", "")


def test_too_little_memory_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_taken(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("engine.arrays.files.read_npy", all_taken)
    assert problem(npy(SIGNAL)) == "not enough memory to decode it"
    monkeypatch.setattr(intake, "windows_of", all_taken)
    with pytest.raises(ImageProblem, match="not enough memory to look at it"):
        intake.intake(Window(64), "largest").shown(Sampled(SIGNAL))
