"""How often templates of two different people come as near as a distance: an encoder's table, with its uncertainty.

The pairs of one person hang together, so that thousands of people are worth fewer pairs than there are. People are therefore
drawn anew with replacement (bootstrap), and the spread of what is counted then is the uncertainty of the table.
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from engine.errors import TemplatesError
from engine.files.atomic_files import whole_file
from engine.templates.measured.impostors import ENDING, Impostors
from engine.templates.model import Templates
from engine.templates.quality.scale import Scale

RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
# Pairs that must lie within the smallest distance of a table.
_LEAST_PAIRS = 20
_ENCODERS = Path(__file__).parents[2] / "engine" / "templates" / "measured"


def measure_impostors(templates: Templates, whose: str, *, resamples: int = 200, seed: int = 0) -> Impostors:
    """The table of labelled templates: one of each identity, at random, all pairs of them.

    Raises:
        TemplatesError: too few people for the smallest rate, or vectors of which nothing is known.
    """
    made = templates.provenance
    if made.encoder is None or made.alignment is None:
        raise TemplatesError("these vectors do not say which encoder made them; a table is kept for templates of onek embed")
    names = templates.table["identity"].to_pylist()
    if None in names:
        raise TemplatesError("a template has no identity; a table of impostors takes labelled templates")
    random = np.random.default_rng(seed)
    rows = random.permutation(len(names))
    chosen = rows[np.unique(np.asarray(names)[rows], return_index=True)[1]]
    people = len(chosen)
    pairs = people * (people - 1) // 2
    rates = tuple(rate for rate in RATES if rate * pairs >= _LEAST_PAIRS)
    if len(rates) < 3:
        raise TemplatesError(f"{people} people make {pairs:,} pairs; expected thousands of people")
    vectors = templates.vectors[chosen].astype(np.float64)
    squares = np.maximum(2 - 2 * vectors @ vectors.T, 0)
    own = squares[np.triu_indices(people, 1)]
    limits = np.quantile(own, rates)
    counts = random.multinomial(people, np.full(people, 1 / people), resamples).astype(np.float32)
    np.fill_diagonal(squares, np.inf)  # nobody is his own impostor, be he drawn twice
    drawn = (counts.sum(axis=1) ** 2 - (counts**2).sum(axis=1)) / 2
    deviations = []
    for limit in limits:
        near = (squares <= limit).astype(np.float32)
        within = np.einsum("rn,rn->r", counts @ near, counts) / 2
        deviations.append(float(np.std(np.log(np.maximum(within, 0.5) / drawn))))
    return Impostors(
        encoder=made.encoder,
        flip=made.flip,
        alignment=made.alignment,
        whose=whose,
        people=people,
        pairs=pairs,
        rates=rates,
        squares=tuple(round(float(limit), 5) for limit in limits),
        deviations=tuple(round(each, 4) for each in deviations),
    )


def keep(table: Impostors, folder: Path = _ENCODERS) -> Path:
    """Write it beside the encoders, in the place of one for templates that are made alike; where that is."""
    return kept_in(folder / f"{table.encoder}{ENDING}", table)


def kept_in(path: Path, table: Impostors | Scale) -> Path:
    """Write what was measured of an encoder into its list, in the place of what is of templates that are made alike; the path."""
    others = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    key = (table.flip, table.alignment)
    kept = [other for other in others if (other["flip"], other["alignment"]) != key]
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps([*kept, asdict(table)], indent=1) + "\n", encoding="utf-8")
    path.chmod(0o644)  # it comes with onek, for everybody
    return path
