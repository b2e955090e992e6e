"""The template: what it says of itself, files of them, and what is known of those that an encoder makes."""

from typing import TYPE_CHECKING

from indexes.late import late_names

if TYPE_CHECKING:
    from engine.templates.enrolment import TemplateStream
    from engine.templates.model import Templates
    from engine.templates.parquet import TemplateFile, TemplateWriter, read_templates, stream_templates
    from engine.templates.problems import Problem
    from engine.templates.provenance import Provenance, require_same

__all__ = [
    "Problem",
    "Provenance",
    "TemplateFile",
    "TemplateStream",
    "TemplateWriter",
    "Templates",
    "read_templates",
    "require_same",
    "stream_templates",
]

__getattr__ = late_names(
    __name__,
    {
        "engine.templates.enrolment": ("TemplateStream",),
        "engine.templates.model": ("Templates",),
        "engine.templates.parquet": ("TemplateFile", "TemplateWriter", "read_templates", "stream_templates"),
        "engine.templates.problems": ("Problem",),
        "engine.templates.provenance": ("Provenance", "require_same"),
    },
)
