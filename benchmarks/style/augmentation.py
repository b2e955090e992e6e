"""Whether training with some styles helps against others: two networks that differ in that alone, on people of neither.

A third of the people is measured on. On the others the small network is trained twice, with `LEARNT` styles as an augmentation
and without, from the same weights, on the same batches. Probes are brought into the styles that were kept aside, `ASIDE`, by
style transfer proper; who is enrolled is enrolled as photographed.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.style.drawn_styles import ASIDE, LEARNT, draw_style
from benchmarks.style.styled_chips import blends, styled
from engine.embedding.photographs import Photograph
from engine.metrics import Comparisons, measure
from engine.style.transfer import Styling
from engine.training import Recipe
from engine.training.chips import Chips, cut_chips
from engine.training.fit import fit
from engine.training.networks import Network, begun, descriptors, fresh, save
from engine.training.pictures.styles import styled_chips
from engine.training.validation import Figures, Validation, figures, split_identities, validation_of

CLEAN = "as photographed"
STRENGTHS = (3, 5)
WITH, WITHOUT = "with styles", "without"
_MEASURED, _VALIDATED = 1 / 3, 0.2


@dataclass(frozen=True)
class Learnt:
    """`figures` of one network, trained `how` (`WITH` or `WITHOUT`) from a seed, on probes in a `style` of some strength."""

    how: str
    seed: int
    style: str
    strength: int
    figures: Figures


def measure_style_augmentation(
    photographs: Sequence[Photograph],
    out: Path,
    *,
    people: int = 50,
    seeds: int = 2,
    epochs: int = 5,
    steps: int = 15,
    said: Callable[[str], None] = lambda _: None,
) -> list[Learnt]:
    """Train and measure. Chips, styled probes and networks are kept below `out`, and those that are there are taken.

    Args:
        photographs: each with an identity, such as LFW's. People with one are left out: nothing is learnt of them.
        out: a folder.
        people: how many mated probes, and strangers', are brought into styles.
        seeds: how often two networks are trained.
        epochs: of 55 steps each.
        steps: of style transfer.
        said: told what is done.
    """
    out.mkdir(parents=True, exist_ok=True)
    counts = Counter(each.identity for each in photographs)
    several = [each for each in photographs if counts[each.identity] > 1]
    chips = cut_chips(several, fresh("small").chip, "largest", out)
    rows, measured = split_identities(chips.names, _MEASURED, 0)
    probes = _fewer(validation_of(chips.names, measured, 0), people)
    conditions = {(CLEAN, 0): (_taken(chips, probes.mated), _taken(chips, probes.strangers))}
    for name, hand in ASIDE.items():
        said(f"probes in the style {name}")
        whole = [_kept_styled(out, chips, part, name, draw_style(hand), steps) for part in (probes.mated, probes.strangers)]
        conditions |= {(name, strength): (whole[0][strength], whole[1][strength]) for strength in STRENGTHS}
    enrolled, made = _taken(chips, probes.enrolled), []
    for seed in range(seeds):
        for how in (WITHOUT, WITH):
            said(f"network {seed + 1} of {seeds}, {how}")
            network = _kept_network(out, chips, rows, how, seed, epochs)
            for (style, strength), changed in conditions.items():
                made.append(Learnt(how, seed, style, strength, _figures(network, probes, enrolled, *changed)))
    return made


def _fewer(validation: Validation, people: int) -> Validation:
    random = np.random.default_rng(0)
    mated, strangers = (random.permutation(rows)[:people] for rows in (validation.mated, validation.strangers))
    return replace(validation, mated=mated, strangers=strangers)


def _taken(chips: Chips, rows: np.ndarray) -> np.ndarray:
    return np.stack([chips.pixels[row] for row in rows])


def _kept_styled(out: Path, chips: Chips, rows: np.ndarray, name: str, style: np.ndarray, steps: int) -> Mapping[int, np.ndarray]:
    plain, file = _taken(chips, rows), out / f"{name}-{steps}-{len(rows)}-{rows[0]}.npy"
    if not file.exists():
        np.save(file, styled(plain, style, Styling(steps=steps)))
    return blends(plain, np.load(file))


def _kept_network(out: Path, chips: Chips, rows: np.ndarray, how: str, seed: int, epochs: int) -> Network:
    file = out / f"{how.replace(' ', '-')}-{seed}-{epochs}.keras"
    if not file.exists():
        recipe = Recipe(epochs=epochs, steps=55, patience=epochs, seed=seed)
        kept, aside = split_identities(chips.names[rows], _VALIDATED, seed)
        validation = validation_of(chips.names, rows[aside], seed)
        network = fresh("small", seed)
        pictures = {name: draw_style(hand) for name, hand in LEARNT.items()}
        styles = styled_chips(pictures, chips.pixels.shape[1]) if how == WITH else None
        folder = out / file.stem
        folder.mkdir(exist_ok=True)
        fit(
            network,
            chips.pixels,
            chips.names,
            rows[kept],
            validation,
            recipe,
            folder,
            of=chips.digest,
            styled=styles,
            resume=True,
        )
        save(network, file)
    return begun(str(file))


def _figures(network: Network, probes: Validation, *shown: np.ndarray) -> Figures:
    """Of chips of those who are enrolled, of mated probes, and of strangers; the equal error rate is that of probes against all
    who are enrolled.
    """
    counts = [len(some) for some in shown]
    parts = np.split(np.arange(sum(counts)), np.cumsum(counts)[:2])
    whose = np.concatenate([probes.labels[rows] for rows in (probes.enrolled, probes.mated, probes.strangers)])
    made = descriptors(network, np.concatenate(shown))
    enrolled, asked = np.split(np.arange(len(made)), counts[:1])
    apart = np.linalg.norm(made[asked, None] - made[None, enrolled], axis=2)
    same = whose[asked, None] == whose[None, enrolled]
    error = measure("eer", Comparisons(apart[same], apart[~same]))
    return replace(figures(made, Validation(whose, *parts), np.arange(len(made))), eer=error)


def compared(made: Sequence[Learnt], of: Callable[[Figures], float]) -> Iterator[tuple[str, int, float, float, list[float]]]:
    """For each style and strength the mean figure without and with styles in training, and the differences, seed by seed."""
    for style, strength in dict.fromkeys((each.style, each.strength) for each in made):
        found = {
            how: [of(each.figures) for each in made if (each.how, each.style, each.strength) == (how, style, strength)]
            for how in (WITHOUT, WITH)
        }
        pairs = zip(found[WITHOUT], found[WITH], strict=True)
        yield style, strength, float(np.mean(found[WITHOUT])), float(np.mean(found[WITH])), [b - a for a, b in pairs]
