"""Templates on their way into a gallery: made alike, each with an identity, each id once."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.errors import TemplatesError
from engine.provenance import Provenance
from engine.templates import Templates, read_provenance, stream_same

Source = Templates | Iterable[str | Path]


def enrolment(templates: Source) -> tuple[Provenance, Iterator[Templates]]:
    """How the templates were made, and the templates in batches, which are checked as they pass.

    Raises:
        TemplatesError: no file was named, a template has no identity, or an id comes twice; names the files.
        EncoderMismatch: files that were made by different encoders; names both.
    """
    if isinstance(templates, Templates):
        return templates.provenance, _checked([("the templates", templates)])
    paths = [Path(path) for path in templates]
    if not paths:
        raise TemplatesError("no template file was named; expected at least one")
    return read_provenance(paths[0]), _checked((str(path), part) for path, part in stream_same(paths))


def _checked(parts: Iterable[tuple[str, Templates]]) -> Iterator[Templates]:
    seen: dict[str, str] = {}
    for name, part in parts:
        if part.table["identity"].null_count:
            row = part.table["identity"].is_null().to_pylist().index(True)
            template_id = part.table["template_id"][row].as_py()
            raise TemplatesError(
                f"{name}: the template {template_id} has no identity; embed with --labels, or add an identity column"
            )
        for template_id in part.table["template_id"].to_pylist():
            if template_id in seen:
                where = f"twice in {name}" if seen[template_id] == name else f"in {seen[template_id]} and again in {name}"
                raise TemplatesError(f"the template id {template_id} comes {where}; expected each id once")
            seen[template_id] = name
        yield part
    if not seen:
        raise TemplatesError("there is not one template in what was named; a gallery needs at least one")
