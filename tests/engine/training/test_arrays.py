"""Networks of signals and volumes: their shapes, how arrays are changed, and the whole way from files to names."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.signals.hearts import RATE, draw_heart, write_hearts
from benchmarks.signals.solids import draw_solid
from engine import Gallery, embed_images, load_encoder
from engine.arrays import Cube, Sampled, Window, cube_of, windows_of
from engine.cli.app import app
from engine.common.tensorflow import tensorflow
from engine.embedding.intake import KINDS
from engine.embedding.photographs import find_photographs
from engine.encoders import modality_of
from engine.errors import EncoderError, OnekError, PhotographsError, TrainingError
from engine.training.arrays.augmentation import as_it_is, changed_signals, changed_volumes, turned_volumes
from engine.training.arrays.shown import shown_by
from engine.training.fit import Recipe
from engine.training.networks import Network, begun, descriptors, fresh_of_arrays, save
from engine.workflows.train_encoder import train_to_file

SMALL = Window(128, rate=RATE, windows=2)


def saved(tmp_path: Path, chip: Window | Cube = SMALL) -> Path:
    save(fresh_of_arrays(chip), tmp_path / "e.keras")
    return tmp_path / "e.keras"


def test_convolutions_have_the_textbooks_shapes() -> None:
    """14 samples and 16 filters of 5 are 10 x 16; 14 x 14 x 14 and 16 of 5 x 5 x 5 are 10 x 10 x 10 x 16."""
    layers = tensorflow().keras.layers
    signal, volume = np.random.default_rng(0).normal(size=(1, 14, 1)), np.zeros((1, 14, 14, 14, 1))
    convolution = layers.Conv1D(16, 5)
    made = convolution(signal).numpy()
    assert made.shape == (1, 10, 16)
    assert layers.Conv1D(32, 5)(made).shape == (1, 6, 32)
    deep = layers.Conv3D(16, 5)(volume)
    assert deep.shape == (1, 10, 10, 10, 16)
    assert layers.Conv3D(32, 5)(deep).shape == (1, 6, 6, 6, 32)
    kernel, bias = (each.numpy() for each in convolution.weights)
    by_hand = [[signal[0, at : at + 5, 0] @ kernel[:, 0, each] + bias[each] for each in range(16)] for at in range(10)]
    np.testing.assert_allclose(made[0], by_hand, atol=1e-5)


def test_networks_shrink_stage_by_stage_to_128_dimensions() -> None:
    signal = fresh_of_arrays(Window(512, channels=2)).model
    assert signal.input_shape == (None, 512, 2)
    sizes = [layer.output.shape[1:] for layer in signal.layers if isinstance(layer, tensorflow().keras.layers.Add)]
    assert sizes == [(128, 32), (32, 64), (8, 96), (2, 128)]
    volume = fresh_of_arrays(Cube(32)).model
    sizes = [layer.output.shape[1:] for layer in volume.layers if isinstance(layer, tensorflow().keras.layers.Add)]
    assert sizes == [(16, 16, 16, 16), (8, 8, 8, 32), (4, 4, 4, 64)]
    assert signal.output_shape == volume.output_shape == (None, 128)
    one, same, other = (fresh_of_arrays(SMALL, seed).model.get_weights()[0] for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_changes_are_the_same_for_the_same_seed_and_leave_what_they_are_given() -> None:
    signals = np.stack([windows_of(Sampled(draw_heart(seed, 0)), SMALL) for seed in range(6)])
    volumes = np.stack([cube_of(Sampled(draw_solid(seed, 0, 16)), Cube(16)) for seed in range(6)])
    for change, shown in ((changed_signals, signals), (changed_volumes, volumes), (turned_volumes, volumes)):
        before = shown.copy()
        made = change(shown, (0, 1))
        assert (made.shape, made.dtype) == ((6, *shown.shape[2:]), np.float32)
        assert (made == change(shown, (0, 1))).all()
        assert (made != change(shown, (0, 2))).any()
        assert (shown == before).all()
        assert (made != as_it_is(shown, (0, 1))).any()
    assert {part.tobytes() for part in as_it_is(signals, (0,))} <= {part.tobytes() for part in signals.reshape(-1, 128, 1)}


def test_turned_volumes_are_turned_by_quarters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.training.arrays.augmentation.changed_volumes", lambda shown, _: shown[:, 0].copy())
    cube = np.arange(27.0).reshape(1, 1, 3, 3, 3, 1).astype(np.float32)
    ways = {turned_volumes(cube, (seed,)).tobytes() for seed in range(400)}
    assert len(ways) == 48  # 24 rotations, and their mirror images
    assert all(np.frombuffer(way, np.float32).reshape(3, 3, 3)[1, 1, 1] == 13 for way in ways)


def test_what_a_network_sees_is_in_its_file_and_its_fingerprint(tmp_path: Path) -> None:
    path = saved(tmp_path)
    said = json.loads(path.with_suffix(".json").read_text())
    assert said["input"] == modality_of(str(path)) == "signal"
    assert (said["size"], said["rate"], said["windows"], said["normalise"], said["channels"]) == (128, 250.0, 2, "unit", 1)
    encoder = load_encoder(str(path))
    assert (encoder.modality, encoder.card.chip, encoder.flip) == ("signal", SMALL, False)
    made = encoder.provenance(SMALL.alignment)
    assert made.modality == "signal"
    prints = {made.fingerprint}
    for field, value in (("rate", 500), ("rate", None), ("windows", 3), ("normalise", "none")):
        path.with_suffix(".json").write_text(json.dumps({**said, field: value}))
        prints.add(load_encoder(str(path)).provenance(SMALL.alignment).fingerprint)
    assert len(prints) == 5
    cube = saved(tmp_path, Cube(16, spacing=1.5))
    assert (load_encoder(str(cube)).modality, load_encoder(str(cube)).card.chip) == ("volume", Cube(16, spacing=1.5))
    assert load_encoder("pixels").modality == modality_of("pixels") == "picture"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"input": "smell"}, "input is 'smell', expected picture, signal, volume"),
        ({"dim": 12}, r"two inputs give an output of shape \(2, 128\), expected \(2, 12\)"),
        ({"rate": -1}, "rate is -1, expected samples a second, above 0"),
        ({"windows": 0}, "windows is 0, expected a whole number"),
        ({"normalise": "loudness"}, "normalise is 'loudness', expected unit or none"),
        ({"points": [[1, 2]]}, "points not known; expected dim, input, size"),
        ({"channels": 2}, "does not run on inputs of shape"),
        ({"size": 1 << 20, "channels": 1024}, "at most 16,777,216 numbers are shown"),
    ],
)
def test_descriptions_are_refused_in_a_line(tmp_path: Path, changed: dict[str, object], words: str) -> None:
    path = saved(tmp_path)
    said = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**said, **changed}))
    with pytest.raises(EncoderError, match=words):
        load_encoder(str(path))


def test_what_goes_with_pictures_alone_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    write_hearts(tmp_path / "hearts", range(2), 2)
    with pytest.raises(EncoderError, match="flip=... goes with pictures"):
        load_encoder(str(path), flip=True)
    with pytest.raises(PhotographsError, match="--faces all goes with photographs; of a signal all is seen"):
        embed_images(tmp_path / "hearts", load_encoder(str(path)), faces="all", labels="folder")
    with pytest.raises(EncoderError, match="takes a signal; expected an encoder of pictures"):
        _ = load_encoder(str(path)).chip
    with pytest.raises(PhotographsError, match="no volumes in this folder or below it"):
        (tmp_path / "empty").mkdir()
        find_photographs([tmp_path / "empty"], kind=KINDS["volume"])


def test_a_batch_changes_nothing(tmp_path: Path) -> None:
    encoder = load_encoder(str(saved(tmp_path)))
    shown = np.stack([windows_of(Sampled(draw_heart(seed, 0)), SMALL) for seed in range(20)])
    together = encoder.encode(shown)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([encoder.encode(each[None]) for each in shown]), together, atol=1e-5)
    assert encoder.encode(shown[:0]).shape == (0, 128)
    np.testing.assert_allclose(descriptors(begun(str(tmp_path / "e.keras")), shown), together, atol=1e-5)


def test_the_first_file_says_what_is_shown(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    np.savez(tmp_path / "b.npz", np.zeros((600, 3)), rate=360)
    files = find_photographs([tmp_path], "none", kind=KINDS["signal"])
    assert shown_by(files, "signal", None, None) == Window(512, 3, 360.0)
    assert shown_by(files, "signal", 64, 100.0) == Window(64, 3, 100.0)
    assert shown_by(files, "volume", None, 2.0) == Cube(32, 1, 2.0)
    with pytest.raises(TrainingError, match="none of 1 files can be read; the last: .*a.npy: an array of Python objects"):
        shown_by(files[:1], "signal", None, None)
    with pytest.raises(TrainingError, match="--window 3: expected 16 or more"):
        shown_by(files, "signal", 3, None)
    with pytest.raises(TrainingError, match="--no-up goes with --network volume"):
        fresh_of_arrays(SMALL, no_up=True)


def rank1(encoder: Network, shown: np.ndarray, each: int) -> float:
    made = descriptors(encoder, shown).reshape(-1, each, 128)
    nearest = (made[:, 1:].reshape(-1, 128) @ made[:, 0].T).argmax(axis=1)
    return float((nearest == np.repeat(np.arange(len(made)), each - 1)).mean())


def test_a_network_learns_hearts_and_knows_others(tmp_path: Path) -> None:
    write_hearts(tmp_path / "hearts", range(60), 5)
    window = Window(256, rate=RATE)
    others = np.stack([windows_of(Sampled(draw_heart(seed, each)), window) for seed in range(500, 540) for each in range(3)])
    before = rank1(fresh_of_arrays(window), others, 3)
    network = fresh_of_arrays(window)
    photographs = find_photographs([tmp_path / "hearts"], kind=KINDS["signal"])
    recipe = Recipe(loss="arcface", epochs=12, steps=20, rate=3e-3, identities=12)
    train_to_file(photographs, network, recipe, tmp_path / "e.keras")
    assert rank1(network, others, 3) > before + 0.2


def test_the_whole_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train, embed, build, identify, verify, enrol: by the commands, with a broken recording among them."""
    monkeypatch.chdir(tmp_path)
    write_hearts(Path("hearts"), range(12), 3)
    np.save("hearts/heart0000/silent.npy", np.zeros(3000))

    def say(*words: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(word) for word in words])
        if isinstance(result.exception, OnekError):
            return 2, str(result.exception)
        return result.exit_code, result.output

    quick = ("--epochs", 1, "--steps", 1, "--identities", 4, "--each", 2, "--validation", 0.4)
    status, said = say("train", "hearts", "--network", "signal", "--window", 128, "--sampling", 250, "-o", "h.keras", *quick)
    assert status == 3, said
    assert "1 recording gave nothing to see" in said
    assert "silence: all samples are the same" in Path("h.problems.csv").read_text()
    assert say("train", "hearts", "--window", 128, "-o", "i.keras", *quick)[1].startswith(
        "--window, --sampling and --no-up go with"
    )
    status, said = say("embed", "hearts", "--encoder", "h.keras", "-o", "t.parquet")
    assert status == 3, said
    assert "37 recordings: 36 templates" in said
    assert say("build-index", "t.parquet", "-o", "g")[0] == 0
    asked = ("-g", "g", "--threshold", 0.001)
    # Beside a gallery of signals a NumPy file is a recording, and no file of vectors.
    status, said = say("identify", "hearts/heart0003/1.npy", "hearts/heart0000", *asked, "--encoder", "h.keras", "-o", "r.csv")
    assert status == 3, said
    rows = Path("r.csv").read_text().splitlines()
    assert len(rows) == 6
    assert ",identified,heart0003," in rows[1]
    assert ",failed," in rows[-1]
    status, said = say("identify", "hearts/heart0003/1.npy", *asked)
    assert (status, "Nothing that a gallery names is loaded unasked" in said) == (2, True)
    assert say("verify", "hearts/heart0004/0.npy", "heart0004", *asked, "--encoder", "h.keras")[0] == 0
    np.save("new.npy", draw_heart(99, 0))
    assert say("enroll", "new.npy", "-g", "g", "--encoder", "h.keras")[0] == 0
    gallery = Gallery.open("g")
    gallery.embedder(encoder="h.keras")
    given = embed_images([draw_heart(99, 0), draw_heart(3, 1)], "h.keras").templates
    assert [result.identity for result in gallery.identify(given, threshold=0.001)] == ["new", "heart0003"]
    found = gallery.identify(["new.npy", "hearts/heart0003/1.npy"], threshold=0.001)
    assert [result.identity for result in found] == ["new", "heart0003"]
    assert "--annotate" in say("identify", "new.npy", *asked, "--encoder", "h.keras", "--annotate", "a", "-o", "s.csv")[1]
    assert say("train", "hearts", "--from", "h.keras", "-o", "j.keras", *quick)[0] == 3
    assert json.loads(Path("j.json").read_text())["input"] == "signal"


def test_the_whole_way_of_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of scans as NumPy, NumPy with spacing, and NIfTI, one of them broken."""
    nibabel = pytest.importorskip("nibabel")
    monkeypatch.chdir(tmp_path)
    for seed in range(8):
        own = Path("solids", f"solid{seed}")
        own.mkdir(parents=True)
        np.save(own / "0.npy", draw_solid(seed, 0, 20))
        np.savez(own / "1.npz", draw_solid(seed, 1, 20)[::2], spacing=[2, 1, 1])
        nibabel.save(nibabel.Nifti1Image(draw_solid(seed, 2, 20), np.diag([-3.0, 3, 3, 1])), own / "2.nii.gz")
    whole = Path("solids/solid0/2.nii.gz").read_bytes()
    Path("solids/solid0/cut.nii.gz").write_bytes(whole[:-9])

    def say(*words: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(word) for word in words])
        return (2, str(result.exception)) if isinstance(result.exception, OnekError) else (result.exit_code, result.output)

    quick = ("--epochs", 1, "--steps", 1, "--identities", 4, "--each", 2, "--validation", 0.5)
    status, said = say("train", "solids", "--network", "volume", "--window", 16, "--no-up", "-o", "s.keras", *quick)
    assert (status, "1 volume gave nothing to see" in said) == (3, True), said
    status, said = say("embed", "solids", "--encoder", "s.keras", "-o", "t.parquet")
    assert (status, "25 volumes: 24 templates" in said) == (3, True), said
    assert "damaged or cut short" in Path("t.problems.csv").read_text()
    assert say("build-index", "t.parquet", "-o", "g")[0] == 0
    status, said = say("identify", "solids/solid3", "-g", "g", "--threshold", 1e-3, "--encoder", "s.keras", "-o", "r.csv")
    assert status == 0, said
    assert Path("r.csv").read_text().count(",identified,solid3,") == 3
