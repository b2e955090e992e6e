"""Templates on their way into a gallery: made alike, each with an identity, each id once."""

from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import pyarrow as pa

from engine.common.late import pc
from engine.errors import TemplatesError
from engine.files.escaping import shown
from engine.templates.model import Templates
from engine.templates.names import UNLABELLED, Labelling, each_of
from engine.templates.parquet import TemplateFile, stream_same
from engine.templates.problems import ALL_SEEN, Problem, Unseen
from engine.templates.provenance import Provenance, require_same


@dataclass(frozen=True)
class TemplateStream:
    """Templates to enrol: how they were made, how many there are, the `parts` that they come in, each from a named input, and the
    `files` that are read for that.
    """

    made: Provenance
    count: int
    parts: Iterator[tuple[str, Templates]]
    files: tuple[Path, ...] = ()
    _inputs: list[str] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)

    def __iter__(self) -> Iterator[Templates]:
        """The parts, checked as they pass.

        Raises:
            TemplatesError: a template has no identity, or there is none at all.
            EncoderMismatch: files that were made by different encoders; names both.
        """
        rows = 0
        for name, part in self.parts:
            if part.table["identity"].null_count:
                row = part.table["identity"].is_null().to_pylist().index(True)
                called = shown(part.table["source"][row].as_py() or part.table["template_id"][row].as_py())
                raise TemplatesError(
                    f"{name}: the template of {called} has no identity: embed it labelled, say names=..., or add such a column"
                )
            rows += len(part)
            self._inputs.append(name)
            self._ends.append(rows)
            yield part
        if not rows:
            raise TemplatesError("there is not one template in what was named; a gallery needs at least one")

    def peeked(self) -> tuple[Templates | None, "TemplateStream"]:
        """The first part, None where there is none, and the stream with that part before the others still. Not from this one on:
        the two share the parts.
        """
        first = next(self.parts, None)
        if first is None:
            return None, self
        return first[1], replace(self, parts=chain([first], self.parts))

    def require_each_once(self, template_ids: pa.ChunkedArray) -> None:
        """Refuse ids (n,) of all the rows that passed, in their order, if one comes twice; names it and its inputs.

        Raises:
            TemplatesError: one does.
        """
        if pc.count_distinct(template_ids).as_py() == len(template_ids):
            return
        counts = pc.value_counts(template_ids)
        twice = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"]
        first, again = pc.indices_nonzero(pc.equal(template_ids, twice)).to_pylist()[:2]
        one, two = (self._inputs[bisect(self._ends, row)] for row in (first, again))
        where = f"twice in {one}" if one == two else f"in {one} and again in {two}"
        raise TemplatesError(
            f"the template id {twice} comes {where}; expected each id once. Ids of onek's own making are the same where the "
            "photograph is: leave it out of one, or build a gallery of one and enrol the other with on_duplicate='skip'"
        )


Source = Templates | TemplateStream | str | Path | Iterable[str | Path]


def enrolment(templates: Source) -> TemplateStream:
    """Templates in memory, or of template files, which are read as they are asked for.

    Raises:
        TemplatesError: no file was named, or one cannot be read.
    """
    if isinstance(templates, TemplateStream):
        return templates
    if isinstance(templates, Templates):
        return TemplateStream(templates.provenance, len(templates), iter([("the templates", templates)]))
    paths = [Path(path) for path in each_of(templates)]
    if not paths:
        raise TemplatesError("no template file was named; expected at least one")
    files = [TemplateFile(path) for path in paths]
    parts = ((str(path), part) for path, part in stream_same(files))
    return TemplateStream(files[0].provenance, sum(file.count() for file in files), parts, tuple(paths))


@dataclass(frozen=True)
class Joining:
    """Templates on their way into a gallery that lives; of photographs also the `problems` of those that gave none, the
    `labelling` that says whose they are, and how many faces were not looked at.
    """

    templates: Templates
    problems: tuple[Problem, ...] = ()
    labelling: Labelling = UNLABELLED
    unseen: Unseen = ALL_SEEN


def require_joinable(templates: Templates, made: Provenance, where: str) -> None:
    """Refuse templates that cannot join a gallery `where` those are `made` so.

    Raises:
        EncoderMismatch: another encoder made them.
        TemplatesError: one has no identity, or an id comes twice among them.
    """
    require_same(made, templates.provenance, where, "the templates to enrol")
    incoming = enrolment(templates)
    for _ in incoming:
        pass
    incoming.require_each_once(pa.chunked_array(templates.table["template_id"]))
