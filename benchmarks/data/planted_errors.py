"""Mistakes planted into labelled templates, and how many of them `onek audit` lists among its worst."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import TemplatesError
from engine.gallery.gallery import Gallery
from engine.inspection.label_audit import TWO_GROUPS, TWO_NAMES, WRONG_IMAGE, audit
from engine.templates.model import Templates

_FOR_NAMES, _FOR_IMAGES = 4, 3


@dataclass(frozen=True)
class Planted:
    """Of `planted` mistakes of each kind, how many are among the `listed` worst, and the rank of the last one found."""

    planted: int
    listed: int
    names: int
    last_name: int
    images: int
    last_image: int


def measure_audit(templates: Templates, folder: Path, seed: int, count: int = 50, most: int = 100) -> Planted:
    """Give two templates of `count` identities (of four or more) another name, put `count` photographs in the place of one of
    somebody else's (of three or more), build a gallery in `folder`, and audit it.

    Raises:
        TemplatesError: too few identities with so many templates.
    """
    names = np.asarray(templates.table["identity"].to_pylist(), object)
    ids = np.asarray(templates.table["template_id"].to_pylist(), object)
    unique, codes = np.unique(names.astype(str), return_inverse=True)
    counts, random = np.bincount(codes), np.random.default_rng(seed)
    split = random.permutation(np.flatnonzero(counts >= _FOR_NAMES))[:count]
    hosts = random.permutation(np.setdiff1d(np.flatnonzero(counts >= _FOR_IMAGES), split))[:count]
    guests = random.permutation(np.setdiff1d(np.arange(len(unique)), [*hosts, *split]))[:count]
    if min(map(len, (split, hosts, guests))) < count:
        raise TemplatesError(
            f"{len(split)} identities have {_FOR_NAMES} templates, {len(hosts)} others {_FOR_IMAGES}; expected {count}"
        )
    made = names.copy()
    for code in split:
        made[random.permutation(np.flatnonzero(codes == code))[:2]] = f"{unique[code]} (again)"
    wrong, gone = set(), []
    for host, guest in zip(hosts, guests, strict=True):
        moved = random.choice(np.flatnonzero(codes == guest))
        gone.append(random.choice(np.flatnonzero(codes == host)))
        made[moved] = unique[host]
        wrong.add(ids[moved])
    keep = np.setdiff1d(np.arange(len(names)), gone)
    planted = Templates.from_vectors(templates.vectors[keep], list(made[keep]), list(ids[keep]), templates.provenance)
    findings = audit(Gallery.build(planted, folder, overwrite=True), most)
    pairs = [finding for finding in findings if finding.kind == TWO_NAMES]
    images = [finding for finding in findings if finding.kind == WRONG_IMAGE]
    twice = [at for at, one in enumerate(pairs, 1) if {one.identity, f"{one.identity} (again)"} == {one.identity, one.other}]
    twice += [at for at, one in enumerate(pairs, 1) if one.identity == f"{one.other} (again)"]
    found = [at for at, one in enumerate(images, 1) if one.template_id in wrong]
    return Planted(count, most, len(twice), max(twice, default=0), len(found), max(found, default=0))


@dataclass(frozen=True)
class Merged:
    """Of `planted` identities that are two people each, how many are among the `listed` worst of two groups, the rank of the last
    one found, and of how many an image is among the worst wrong images.
    """

    planted: int
    listed: int
    groups: int
    last: int
    images: int


def measure_merged(templates: Templates, folder: Path, seed: int, count: int = 50, most: int = 100) -> Merged:
    """Put `count` pairs of identities, of two templates or more each, under one name, build a gallery in `folder`, and audit it.

    Raises:
        TemplatesError: too few identities with so many templates.
    """
    unique, codes = np.unique(np.asarray(templates.table["identity"].to_pylist()).astype(str), return_inverse=True)
    names = unique.astype(object)
    several = np.random.default_rng(seed).permutation(np.flatnonzero(np.bincount(codes) > 1))[: 2 * count]
    if len(several) < 2 * count:
        raise TemplatesError(f"{len(several)} identities have two templates or more; expected {2 * count}")
    names[several[count:]] = names[several[:count]]
    both = set(names[several[:count]])
    planted = Templates.from_vectors(
        templates.vectors, list(names[codes]), templates.table["template_id"].to_pylist(), templates.provenance
    )
    findings = audit(Gallery.build(planted, folder, overwrite=True), most)
    ranks = [at for at, one in enumerate((each for each in findings if each.kind == TWO_GROUPS), 1) if one.identity in both]
    seen = {each.identity for each in findings if each.kind == WRONG_IMAGE} & both
    return Merged(count, most, len(ranks), max(ranks, default=0), len(seen))
