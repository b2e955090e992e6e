"""What is measured of groups: rates that are asked for, small and lonely sets, corrections over many runs, time and memory."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa

from benchmarks.data.synthetic_templates import Population, Shape
from benchmarks.grouping.measures import Right, labels_of, right
from engine.grouping.corrections import join_groups, name_group, part_faces
from engine.grouping.grouping import add_templates, group_templates, regroup
from engine.grouping.groups import Groups
from engine.templates.model import Templates

RATES = (0.01, 0.02, 0.05)
SUBSETS, SUBSET = 3, 1000
BATCHES, RUNS = 5, 3


@dataclass(frozen=True)
class Figure:
    """One grouping: of `what`, asked for which rate, with which outcome, in how many seconds."""

    what: str
    asked: float | None
    found: Right
    rule: str
    expected: float
    seconds: float


@dataclass(frozen=True)
class Kept:
    """What became of corrections over further runs and batches, and the BCubed F of the end and of one run over all."""

    violated: int
    renamed: int
    grown: Right
    whole: Right


def people_in(templates: Templates) -> np.ndarray:
    """A number for each identity, int64 (n,)."""
    return np.unique(np.asarray(templates.table["identity"].to_pylist()), return_inverse=True)[1]


def part(templates: Templates, rows: np.ndarray) -> Templates:
    """Some rows of templates."""
    return Templates(templates.table.take(pa.array(rows)), templates.provenance)


def grouped(what: str, templates: Templates, asked: float | None = None) -> tuple[Figure, Groups]:
    """Group labelled templates and measure."""
    start = time.perf_counter()
    groups = group_templates(templates, wrong=asked)
    seconds = time.perf_counter() - start
    found = right(_people_of(groups, templates), labels_of(groups))
    return Figure(what, asked, found, groups.cut.rule, groups.cut.expected_wrong, seconds), groups


def rates(what: str, templates: Templates, said: Callable[[str], None]) -> list[Figure]:
    """Nothing asked for, and every rate."""
    figures = []
    for asked in (None, *RATES):
        said(f"{what}, {asked or 'nothing'} asked")
        figures.append(grouped(what, templates, asked)[0])
    return figures


def subsets(templates: Templates, said: Callable[[str], None]) -> list[Figure]:
    """Of some people at a time all their faces: nothing asked for, and 1 %."""
    people = people_in(templates)
    figures = []
    for number in range(SUBSETS):
        order = np.random.default_rng(number).permutation(people.max() + 1)
        place = np.argsort(order)[people]
        rows = np.sort(np.argsort(place, kind="stable")[:SUBSET])
        for asked in (None, RATES[0]):
            said(f"subset {number + 1}, {asked or 'nothing'} asked")
            figures.append(grouped(f"subset {number + 1} of {SUBSET}", part(templates, rows), asked)[0])
    return figures


def lonely(templates: Templates, said: Callable[[str], None]) -> list[Figure]:
    """Nine of ten faces are alone; then all of them."""
    people = people_in(templates)
    counts = np.bincount(people)
    first = np.unique(people, return_index=True)[1]
    several = np.flatnonzero(counts > 1)
    faces, taken = 0, []
    single = int((counts == 1).sum())
    for person in np.random.default_rng(0).permutation(several).tolist():
        if faces + counts[person] > single / 9:
            break
        taken.append(person)
        faces += int(counts[person])
    nine = np.flatnonzero((counts[people] == 1) | np.isin(people, taken))
    said("nine of ten alone")
    figures = [grouped("nine of ten alone", part(templates, nine), asked)[0] for asked in (None, RATES[0])]
    said("all alone")
    return [*figures, *(grouped("all alone", part(templates, np.sort(first)), asked)[0] for asked in (None, RATES[0]))]


def corrected(templates: Templates, said: Callable[[str], None]) -> Kept:
    """Half of the faces are grouped and corrected, the others come in five batches, and then all are grouped anew three times.

    Corrections are those of somebody who looks: wrong groups are parted, people in two groups are joined, a hundred groups are
    named.
    """
    said("corrections")
    names = dict(zip(templates.table["template_id"].to_pylist(), templates.table["identity"].to_pylist(), strict=True))
    order = np.random.default_rng(0).permutation(len(templates))
    half, rest = np.sort(order[: len(order) // 2]), order[len(order) // 2 :]
    groups = _looked_at(group_templates(part(templates, half)), names)
    violated = renamed = 0
    batches = [part(templates, np.sort(rows)) for rows in np.array_split(rest, BATCHES)]
    grow: Sequence[Callable[[Groups], Groups]] = [partial(add_templates, templates=each) for each in batches]
    steps = [*grow, *[regroup] * RUNS]
    grown = groups
    for number, step in enumerate(steps):
        said(f"run {number + 1} after corrections")
        before, groups = groups, step(groups)
        violated += _violated(groups, before)
        renamed += _renamed(groups, before, again=number >= BATCHES)
        if number == BATCHES - 1:
            grown = groups
    said("one run over all")
    _, whole = grouped("all", templates)
    return Kept(
        violated,
        renamed,
        right(_people_of(grown, templates), labels_of(grown)),
        right(_people_of(whole, templates), labels_of(whole)),
    )


def synthetic(count: int) -> Templates:
    """Templates of people who do not exist: of five, one has four faces, one two, and three have one."""
    population, people = Population(Shape.load()), -(-count * 5 // 9)
    few, several = people // 5, 2 * people // 5
    parts = [(people, 0), (several, 1), (few, 2), (few, 3)]
    vectors = np.concatenate([population.templates(0, size, image) for size, image in parts])[:count]
    numbers = np.concatenate([np.arange(size) for size, _ in parts])[:count]
    return Templates.from_vectors(vectors, [str(number) for number in numbers], [f"{row:09}" for row in range(len(vectors))])


def _people_of(groups: Groups, templates: Templates) -> np.ndarray:
    names = dict(zip(templates.table["template_id"].to_pylist(), templates.table["identity"].to_pylist(), strict=True))
    return np.unique(np.asarray([names[each] for each in groups.table["template_id"].to_pylist()]), return_inverse=True)[1]


def _looked_at(groups: Groups, names: dict[str, str]) -> Groups:
    ids = groups.table["template_id"].to_pylist()
    seen: dict[str, int] = {}
    named = 0
    for number, rows in list(groups.members.items()):
        mine = [ids[row] for row in rows.tolist()]
        others = [each for each in mine if names[each] != names[mine[0]]]
        if others:
            groups = part_faces(groups, mine[0], others[0])
        elif names[mine[0]] in seen:
            groups = join_groups(groups, seen[names[mine[0]]], number)
        else:
            seen[names[mine[0]]] = number
            if named < 100:
                groups, named = name_group(groups, number, names[mine[0]]), named + 1
    return groups


def _violated(groups: Groups, before: Groups) -> int:
    """How many corrections do not hold: pairs that are apart and in one group, faces bound together and in several."""
    number = dict(zip(groups.table["template_id"].to_pylist(), groups.numbers.tolist(), strict=True))
    together = sum(bool(number[one]) and number[one] == number[two] for one, two in groups.apart)
    bound: dict[int, list[int]] = {}
    for each, held in zip(before.table["template_id"].to_pylist(), before.table["bound"].to_pylist(), strict=True):
        if held is not None:
            bound.setdefault(held, []).append(number[each])
    return together + sum(one != two for each in bound.values() for one, two in pairwise(each))


def _renamed(groups: Groups, before: Groups, again: bool) -> int:
    """How many groups have another number or name than before; of a run over all anew, of those that it left as they were."""
    ids = groups.table["template_id"].to_pylist()
    row = {each: at for at, each in enumerate(ids)}
    old = before.table["template_id"].to_pylist()
    renamed = 0
    for number, rows in before.members.items():
        now = groups.numbers[[row[old[each]] for each in rows.tolist()]]
        most = int(np.bincount(now).argmax())
        stayed = (now == most).mean() == 1 if again else True
        whole = len(groups.members.get(most, ())) == len(rows) if again else True
        renamed += int(stayed and whole and most != number) + int(
            before.names[number] is not None and groups.names.get(number) != before.names[number]
        )
    return renamed
