"""Whose the probes are, as somebody knows it: a list, or what the templates say themselves; and the groups that people are of."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from engine.errors import ListError, ListGuess, MetricsError
from engine.tables.lists import IDENTITY, PATH, Column, read_list
from engine.templates.model import Templates
from engine.templates.parquet import read_templates
from engine.templates.problems import problems_path

_PROBE = Column("probe", (*PATH.also, PATH.name, "template id"))
_SOURCE, _REASON = Column("source"), Column("reason")
# What may say whom a row of a list of groups is about.
_KEYS = ("identity", "probe")


@dataclass(frozen=True)
class Probes:
    """What is searched for: `names` and `identities` of n images, None where nobody knows who it is; `rows` int (n,) of `vectors`
    (m, d) and of `qualities` (m,), what they are worth, NaN where nobody knows; -1 where no template was made of an image.
    `unplaced` bool (n,): images without a template of which not even that is known whether they are of strangers.
    """

    names: list[str]
    identities: list[str | None]
    vectors: np.ndarray
    qualities: np.ndarray
    rows: np.ndarray
    unplaced: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


def read_truth(path: Path) -> dict[str, str | None]:
    """Who each probe is: a list with the columns `probe` and `identity`, which is empty for a stranger whom nobody knows.

    Raises:
        ListError: it cannot be read, or says two things of one probe.
    """
    truth: dict[str, str | None] = {}
    for row in read_list(path, [_PROBE, IDENTITY]).rows:
        name, identity = row.values[_PROBE.name], row.values[IDENTITY.name] or None
        if truth.setdefault(name, identity) != identity:
            raise ListError(f"{path}: {row.place} says that {name} is {identity}, an earlier line that it is {truth[name]}")
    return truth


def probes_of(templates: Templates, failures: Sequence[str], truth: dict[str, str | None] | None, called: str) -> Probes:
    """Probes with their truth: by their sources or ids in a list, or their own identities where there is none.

    `failures`: images of which no template was made.

    Raises:
        MetricsError: a probe is not in the list, or neither says whose any probe is.
    """
    table = templates.table
    names = pc.coalesce(table["source"], table["template_id"]).to_pylist()
    if truth is None:
        identities = table["identity"].to_pylist()
        if not any(identities):
            raise MetricsError(
                f"{called} does not say whose its probes are; pass --truth, a list with the columns probe, identity"
            )
        whose: list[str | None] = [*identities, *(None for _ in failures)]
        rows = _rows(len(names), len(failures))
        return Probes([*names, *failures], whose, templates.vectors, templates.qualities, rows, rows < 0)
    known = [name if name in truth else other for name, other in zip(names, table["template_id"].to_pylist(), strict=True)]
    missing = [name for name, key in zip(names, known, strict=True) if key not in truth]
    if missing:
        raise MetricsError(
            f"{called}: {len(missing)} of {len(names)} probes have no row in the truth (such as {missing[0]}); expected one for "
            "each, its identity empty for a stranger"
        )
    # Whoever is in the truth was photographed: what gave no template is a search that failed.
    lost = dict.fromkeys([*(set(truth) - set(known)), *failures])
    lost_names = sorted(lost)
    whose = [*(truth[key] for key in known), *(truth.get(name) for name in lost_names)]
    unplaced = np.array([False] * len(names) + [name not in truth for name in lost_names])
    rows = _rows(len(names), len(lost_names))
    return Probes([*names, *lost_names], whose, templates.vectors, templates.qualities, rows, unplaced)


def read_failures(templates: Path) -> list[str]:
    """The images that gave no template, as the problems file beside a template file names them; none where there is none."""
    path = problems_path(templates)
    return [row.values["source"] for row in read_list(path, [_SOURCE, _REASON]).rows] if path.exists() else []


def _rows(made: int, failed: int) -> np.ndarray:
    return np.concatenate([np.arange(made), np.full(failed, -1)]).astype(np.int64)


@dataclass(frozen=True)
class LabelledImages:
    """Labelled images and their templates by one system or by several: `images` and `codes` (n,) of the identities `names`;
    `codes` is -1 where nobody says whose an image is. Of each system, `rows` (n,) of its templates, -1 where it made none.
    """

    images: list[str]
    codes: np.ndarray
    names: list[str]
    called: list[str]
    templates: list[Templates]
    rows: list[np.ndarray]

    @property
    def able(self) -> np.ndarray:
        """The images of which every system made a template, bool (n,)."""
        return np.all([rows >= 0 for rows in self.rows], axis=0)

    @property
    def failures(self) -> int:
        """Images of which a system made no template."""
        return int((~self.able).sum())


def read_labelled(files: Sequence[Path]) -> LabelledImages:
    """Labelled templates of one system, or of several on the same photographs, with the images that gave none.

    The problems file beside each names these; whose they are follows where every template's identity is its image's folder.

    Raises:
        MetricsError: a template has no identity; two files have no photograph in common, or differ over one.
        OnekError: as `read_templates`.
    """
    read = [read_templates(path) for path in files]
    keys = [_keys(templates, len(files) > 1, path) for templates, path in zip(read, files, strict=True)]
    whose: dict[str, str | None] = {}
    for path, templates, own in zip(files, read, keys, strict=True):
        if templates.table["identity"].null_count:
            raise MetricsError(
                f"{path}: {templates.table['identity'].null_count} templates have no identity; expected labelled ones"
            )
        for key, identity in zip(own, templates.table["identity"].to_pylist(), strict=True):
            if whose.setdefault(key, identity) != identity:
                raise MetricsError(f"{key} is {whose[key]} in {files[0]} and {identity} in {path}; expected the same labels")
    if len(files) > 1 and not set.intersection(*(set(own) for own in keys)):
        raise MetricsError(f"{' and '.join(map(str, files))} have no photograph in common (their sources are compared)")
    by_folder = all(_of_folder(key) == identity for key, identity in whose.items()) and bool(whose)
    known = {key.rsplit("#", 1)[0] for key in whose} | set(whose)
    known |= {source for templates in read for source in templates.table["source"].to_pylist() if source}
    for path in files:
        for image in read_failures(path):
            if image not in known:
                folder = _of_folder(image)
                whose[image] = folder if by_folder and folder else None
                known.add(image)
    images = sorted(whose)
    names = sorted({identity for identity in whose.values() if identity is not None})
    number = {name: at for at, name in enumerate(names)}
    codes = np.array([-1 if (name := whose[image]) is None else number[name] for image in images], np.int64)
    places = [{key: row for row, key in enumerate(own)} for own in keys]
    rows = [np.array([place.get(image, -1) for image in images], np.int64) for place in places]
    return LabelledImages(images, codes, names, _called(files, read), read, rows)


def _keys(templates: Templates, across: bool, path: Path) -> list[str]:
    """What each template's image is called, the same in every file where several are compared."""
    ids, sources = templates.table["template_id"].to_pylist(), templates.table["source"].to_pylist()
    faces = templates.table["face"].to_pylist()
    named = [
        template_id if source is None else source if not face else f"{source}#{face}"
        for template_id, source, face in zip(ids, sources, faces, strict=True)
    ]
    if len(set(named)) == len(named):
        return named
    if across:
        raise MetricsError(
            f"{path}: two templates are of one face of one photograph; expected one of each, to compare two systems"
        )
    return ids


def _of_folder(image: str) -> str | None:
    return Path(image).parent.name or None


def _called(files: Sequence[Path], read: Sequence[Templates]) -> list[str]:
    """What each system is called: its encoder, or its file where that says more."""
    encoders = [templates.provenance.encoder for templates in read]
    if None not in encoders and len(set(encoders)) == len(encoders):
        return [Path(str(encoder)).name for encoder in encoders]
    stems = [path.stem for path in files]
    return stems if len(set(stems)) == len(stems) else [str(path) for path in files]


@dataclass(frozen=True)
class DemographicGroups:
    """Which groups people, or single probes, are of: of each `column` that the user has, the value by the key.

    `key` is `identity` or `probe`: what the list is about.
    """

    key: str
    columns: dict[str, dict[str, str]]

    def values(self, column: str, keys: Sequence[str | None]) -> np.ndarray:
        """The group of each key in a column, an array of texts (n,); empty where the list does not say."""
        known = self.columns[column]
        return np.array(["" if key is None else known.get(key, "") for key in keys], dtype=object)


def read_demographic_groups(path: Path) -> DemographicGroups:
    """A list with a column `identity` (or `probe`), and any others: age, sex, site, camera, year.

    Raises:
        ListError: it cannot be read, has neither column or no other, or says two things of one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ListGuess)  # which is said when the columns are read
        headings = [heading for heading in read_list(path, []).headings if heading.strip()]
    plain = {heading.strip().casefold(): heading for heading in headings}
    key = next((name for name in _KEYS if name in plain), None)
    others = [heading for heading in headings if heading != plain.get(key or "")]
    if key is None or not others:
        raise ListError(f"{path}: found the columns {', '.join(headings) or 'none'}; expected identity (or probe), and one more")
    columns: dict[str, dict[str, str]] = {heading: {} for heading in others}
    for row in read_list(path, [Column(heading) for heading in headings]).rows:
        who = row.values[plain[key]]
        for heading, known in columns.items():
            if who and known.setdefault(who, row.values[heading]) != row.values[heading]:
                raise ListError(
                    f"{path}: {row.place} says {heading} {row.values[heading]} of {who}, an earlier line {known[who]}"
                )
    return DemographicGroups(key, columns)
