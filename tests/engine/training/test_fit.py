"""Training: that it learns, goes on where it stopped, and refuses what cannot be learnt."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.data.drawn_people import Shot, draw_files
from engine import embed_images, load_encoder
from engine.cli.app import app
from engine.embedding.photographs import find_photographs
from engine.errors import OnekError, TrainingError
from engine.training import networks
from engine.training.batches import Batches, Shuffled
from engine.training.checkpoint import Epoch
from engine.training.fit import Recipe, Trained, fit
from engine.training.networks import fresh
from engine.training.pictures.augmentation import augmented
from engine.training.validation import figures, split_identities, validation_of
from engine.workflows.train_encoder import train_to_file

QUICK = Recipe(epochs=3, steps=3, identities=6, each=3, rate=1e-3, patience=9)


def blobs(people: int, each: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Chips of made-up people, a pattern each, with noise."""
    random = np.random.default_rng(seed)
    patterns = random.integers(0, 200, (people, 8, 8, 3))
    chips = patterns.repeat(each, axis=0).repeat(8, axis=1).repeat(8, axis=2) + random.integers(0, 55, (people * each, 64, 64, 3))
    return chips.astype(np.uint8), np.array([f"p{number // each}" for number in range(people * each)])


def run(folder: Path, recipe: Recipe, *, resume: bool = False) -> tuple[Trained, list[np.ndarray]]:
    folder.mkdir(exist_ok=True)
    chips, names = blobs(24, 4)
    rows, aside = split_identities(names, 0.4, 0)
    network = fresh("small", recipe.seed)
    made = fit(network, chips, names, rows, validation_of(names, aside, 0), recipe, folder, resume=resume)
    return made, network.model.get_weights()


def curve(trained: Trained) -> list[Epoch]:
    return [replace(epoch, images_per_second=0) for epoch in trained.epochs]


@pytest.mark.parametrize("loss", ["triplet", "arcface", "pairs"])
def test_a_run_that_goes_on_has_the_same_curve(tmp_path: Path, loss: str) -> None:
    recipe = replace(QUICK, loss=loss)
    whole, weights = run(tmp_path / "whole", recipe)
    run(tmp_path / "cut", replace(recipe, epochs=1))
    again, same = run(tmp_path / "cut", recipe, resume=True)
    assert curve(again) == curve(whole)
    assert len(whole.epochs) == 4
    for one, other in zip(weights, same, strict=True):
        np.testing.assert_array_equal(one, other)
    assert whole.epochs[3].loss < whole.epochs[1].loss


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "f", replace(QUICK, epochs=1))
    with pytest.raises(TrainingError, match=r"is of another recipe: .*each=3.*, this run has .*each=2"):
        run(tmp_path / "f", replace(QUICK, each=2), resume=True)
    held = bytearray((tmp_path / "f" / "checkpoint.npz").read_bytes())
    (tmp_path / "f" / "checkpoint.npz").write_bytes(held[:-400])
    with pytest.raises(TrainingError, match="a damaged checkpoint"):
        run(tmp_path / "f", QUICK, resume=True)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    chips, names = blobs(24, 4)
    rows, aside = split_identities(names, 0.4, 0)
    network = fresh("small")
    before = [weight.copy() for weight in network.model.get_weights()]
    for steps, words in ((3, r"the loss is nan at step \d+ \(epoch 1\)"), (1, "after the last step of epoch 1")):
        with pytest.raises(TrainingError, match=words):
            fit(network, chips, names, rows, validation_of(names, aside, 0), replace(QUICK, rate=1e38, steps=steps), tmp_path)
    for one, other in zip(before, network.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_rate_that_blows_up_is_an_error_and_what_it_says_to_do_works(tmp_path: Path) -> None:
    words = (
        r"the weights grew \S+ times by epoch 1, so --rate 1e\+06 is too large; .*go on from these with --resume and a smaller"
    )
    with pytest.raises(TrainingError, match=words):
        run(tmp_path / "blown", replace(QUICK, rate=1e6))
    again, same = run(tmp_path / "blown", QUICK, resume=True)
    whole, weights = run(tmp_path / "whole", QUICK)
    assert curve(again) == curve(whole)
    for one, other in zip(weights, same, strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_rate_goes_on_from_the_best_weights(tmp_path: Path) -> None:
    first, best = run(tmp_path / "f", replace(QUICK, epochs=1))
    # So small a rate changes nothing, so that the weights are those that it began with.
    again, weights = run(tmp_path / "f", replace(QUICK, epochs=2, rate=1e-30), resume=True)
    assert [epoch.number for epoch in again.epochs] == [0, 1, 2]
    assert curve(again)[:2] == curve(first)
    for one, other in zip(best, weights, strict=True):
        np.testing.assert_allclose(one, other, atol=0.05)


def test_mixed_precision_is_saved_as_single(tmp_path: Path) -> None:
    chips, names = blobs(24, 4)
    rows, aside = split_identities(names, 0.4, 0)
    network = fresh("small", mixed=True)
    recipe = replace(QUICK, epochs=1, steps=1, identities=2, each=2)
    fit(network, chips, names, rows, validation_of(names, aside, 0), recipe, tmp_path)
    networks.save(network, tmp_path / "n.keras")
    encoder = load_encoder(str(tmp_path / "n.keras"), flip=False)
    ours = networks.descriptors(network, chips[:8])
    assert np.einsum("nd,nd->n", ours, encoder.encode(chips[:8])).min() > 0.999


def test_what_cannot_be_learnt(tmp_path: Path) -> None:
    chips, names = blobs(12, 2)
    singles = np.array([f"s{number}" for number in range(24)])
    with pytest.raises(TrainingError, match="24 identities with one picture each"):
        Batches(np.arange(24), 4, 2, 0)
    with pytest.raises(TrainingError, match="1 identity to train on"):
        Batches(np.zeros(9, int), 4, 2, 0)
    with pytest.raises(TrainingError, match="1 identity to train on"):
        Shuffled(np.zeros(9, int), 4, 0)
    with pytest.raises(TrainingError, match="0 of them with two pictures"):
        validation_of(singles, np.arange(12), 0)
    with pytest.raises(TrainingError, match="of 12 identities leaves 0"):
        split_identities(names, 0.01, 0)
    rows, aside = split_identities(names, 0.5, 0)
    with pytest.raises(TrainingError, match="identities are trained on and validated with, such as p"):
        fit(fresh("small"), chips, names, np.arange(24), validation_of(names, aside, 0), QUICK, tmp_path)
    for recipe, words in ((Recipe(loss="hinge"), "--loss hinge"), (Recipe(mining="easy"), "--mining easy")):
        with pytest.raises(TrainingError, match=words):
            fit(fresh("small"), chips, names, rows, validation_of(names, aside, 0), recipe, tmp_path)
    far = replace(QUICK, margin=0.0, mining="random", epochs=1, rate=1e-9)
    easy = np.repeat(np.random.default_rng(0).integers(0, 255, (12, 64, 64, 3)).astype(np.uint8), 2, axis=0)
    with pytest.raises(TrainingError, match="no triplet of epoch 1 was active"):
        fit(fresh("small"), easy, names, rows, validation_of(names, aside, 0), replace(far, augment=False), tmp_path)
    with pytest.raises(TrainingError, match="--network vgg"):
        fresh("vgg")


def test_batches_and_changes_are_the_same_for_the_same_seed() -> None:
    labels = np.repeat(np.arange(9), [1, 2, 3, 4, 5, 6, 7, 8, 9])
    batches = Batches(labels, 4, 3, 7)
    for step in range(20):
        rows = batches.rows(step)
        assert (batches.rows(step) == rows).all()
        whose = labels[rows].reshape(4, 3)
        assert (whose == whose[:, :1]).all()
        assert len(set(whose[:, 0])) == 4
        assert 0 not in whose  # who has one picture has no positive
    assert sorted(np.concatenate([Shuffled(labels, 5, 1).rows(step) for step in range(9)]).tolist()) == list(range(45))
    chips, _ = blobs(3, 2)
    assert (augmented(chips, (1, 2)) == augmented(chips, (1, 2))).all()
    assert (augmented(chips, (1, 2)) != augmented(chips, (1, 3))).any()
    assert augmented(chips, (1, 2)).shape == chips.shape


def test_figures_against_a_table() -> None:
    names = np.array(["a", "a", "b", "b", "s", "t"])
    validation = replace(
        validation_of(np.array(["a", "a", "b", "b", "c", "d"]), np.arange(6), 0),
        labels=np.array([0, 0, 1, 1, 2, 3]),
        enrolled=np.array([0, 2]),
        mated=np.array([1, 3]),
        strangers=np.array([4, 5]),
    )
    angles = np.array([0.0, 0.1, 1.0, 1.4, 2.5, 3.0])
    made = figures(np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32), validation, np.arange(len(names)))
    assert (made.tpir, made.rank1) == (1.0, 1.0)
    angles[3] = 0.4  # nearer to a
    made = figures(np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32), validation, np.arange(len(names)))
    assert (made.tpir, made.rank1) == (0.5, 0.5)


@pytest.mark.slow
def test_an_encoder_learns_drawn_people(tmp_path: Path) -> None:
    """Trained on some, it knows others far better than before, and better than their pixels."""
    photos = tmp_path / "photos"
    draw_files([Shot(photos / f"p{number:03d}" / f"{shot}.jpg", number, shot) for number in range(40) for shot in range(4)])
    made = train_to_file(find_photographs([photos]), fresh("small"), Recipe(epochs=2, steps=30), tmp_path / "e.keras", share=0.3)
    assert made.best.rank1 > made.epochs[0].rank1 + 0.2
    assert made.best.tpir > made.epochs[0].tpir
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.epochs.csv", "e.json", "e.keras", "photos"]
    others = tmp_path / "others"
    draw_files(
        [Shot(others / f"q{number:03d}" / f"{shot}.jpg", 5000 + number, shot) for number in range(30) for shot in range(4)]
    )
    assert rank1(others, str(tmp_path / "e.keras")) > rank1(others, "pixels")


def rank1(photos: Path, encoder: str) -> float:
    templates = embed_images(photos, encoder).templates
    names = np.asarray(templates.table["identity"].to_pylist())
    first = np.unique(names, return_index=True)[1]
    rest = np.setdiff1d(np.arange(len(names)), first)
    nearest = (templates.vectors[rest] @ templates.vectors[first].T).argmax(axis=1)
    return float((names[first][nearest] == names[rest]).mean())


def test_the_command(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    draw_files([Shot(photos / f"p{number}" / f"{shot}.jpg", number, shot) for number in range(10) for shot in range(3)])
    (photos / "p0" / "empty.jpg").write_bytes(b"")

    def say(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(argument) for argument in ("train", photos, "--faces", "none", *arguments)])
        if isinstance(result.exception, OnekError):
            return 2, str(result.exception)
        return result.exit_code, result.output

    out = tmp_path / "e.keras"
    quick = ("--epochs", 2, "--steps", 2, "--identities", 4, "--each", 2, "--validation", 0.5, "--chips", tmp_path / "chips")
    status, said = say("-o", out, *quick)
    assert status == 3, said  # a photograph was empty
    assert "epoch 2: loss" in said
    assert "trained on" in said
    assert "e.problems.csv" in said.replace("\n", "")
    assert (tmp_path / "e.epochs.csv").read_text().startswith("number,loss,active,images_per_second,tpir,rank1,eer\n0,")
    assert not (tmp_path / "e.keras.training").exists()
    assert embed_images(photos / "p1", str(out), faces="none").templates.vectors.shape == (3, 128)
    assert say("-o", out, *quick)[1].startswith(f"{out} exists already")
    (tmp_path / "f.keras.training").mkdir()
    assert "an interrupted run lies in" in say("-o", tmp_path / "f.keras", *quick)[1]
    assert "--network small and --from" in say("-o", tmp_path / "g.keras", "--network", "small", "--from", out)[1]
    assert "written as .keras" in say("-o", tmp_path / "g.h5", *quick)[1]
    for number in range(10):
        for shot in (1, 2):
            (photos / f"p{number}" / f"{shot}.jpg").rename(tmp_path / f"p{number}_{shot}.jpg")
    assert "10 identities with one picture each" in say("-o", tmp_path / "h.keras", *quick)[1]
    assert not (tmp_path / "h.keras.training").exists()
    for number in range(10):
        for shot in (1, 2):
            (tmp_path / f"p{number}_{shot}.jpg").rename(photos / f"p{number}" / f"{shot}.jpg")
    again = say("-o", tmp_path / "g.keras", "--from", out, *quick)
    assert again[0] == 3, again
    assert "trained by onek from" in (tmp_path / "g.json").read_text()


_RUN = """
import json, sys
from pathlib import Path
from tests.engine.training.test_fit import QUICK, curve, run
from dataclasses import asdict, replace
made, _ = run(Path(sys.argv[1]), replace(QUICK, epochs=4), resume=True)
print(json.dumps([asdict(epoch) for epoch in curve(made)]))
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_in_another_process(tmp_path: Path) -> None:
    def start(folder: str) -> "subprocess.Popen[str]":
        return subprocess.Popen([sys.executable, "-c", _RUN, str(tmp_path / folder)], stdout=subprocess.PIPE, text=True)

    killed = start("killed")
    checkpoint = tmp_path / "killed" / "checkpoint.npz"
    while killed.poll() is None and not checkpoint.exists():
        pass
    killed.kill()
    killed.wait()
    assert checkpoint.exists()
    results = [json.loads(start(folder).communicate()[0]) for folder in ("killed", "whole")]
    assert results[0] == results[1]
    assert len(results[0]) == 5
