"""Templates that are below the gate, as problems."""

import pyarrow as pa

from engine.common.late import pc
from engine.templates.model import Templates
from engine.templates.problems import Problem
from engine.templates.quality.gate import check_least, refused, why_refused


def of_templates(templates: Templates, least: float) -> tuple[Templates, tuple[Problem, ...]]:
    """The templates whose quality is not below a gate, and those that are, as problems, called by their sources or else by their
    ids. Templates of which nobody knows what they are worth pass.
    """
    below = refused(templates.qualities, check_least(least))
    if not below.any():
        return templates, ()
    leaving = templates.table.filter(pa.array(below))
    called = pc.coalesce(leaving["source"], leaving["template_id"]).to_pylist()
    rows = zip(called, leaving["quality"].to_pylist(), leaving["reasons"].to_pylist(), strict=True)
    problems = tuple(Problem(name, why_refused(quality, reasons, least)) for name, quality, reasons in rows)
    return Templates(templates.table.filter(pa.array(~below)), templates.provenance), problems
