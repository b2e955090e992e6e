"""An embedding run to a file that can be interrupted and resumed.

While it runs, finished stretches of photographs lie as part files in `NAME.partial/` beside the output. A part names, in its own
metadata, how many photographs are done once it is there, and the problems among them, so that it is whole or absent.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engine.common.concurrency import batched
from engine.embedding.embedder import Embedder
from engine.embedding.outcome import of_quality, once_each, problems_of, to_batch, unseen_in
from engine.embedding.photographs import Photograph
from engine.errors import OutputError
from engine.files.atomic_files import own_folder, unfinished, whole_file
from engine.files.content_ids import picture_of
from engine.files.outputs import check_outputs
from engine.templates.anonymise import without_sources
from engine.templates.model import schema
from engine.templates.parquet import TemplateWriter
from engine.templates.problems import ALL_SEEN, Problem, Unseen, problems_path, write_problems
from engine.templates.quality import LEAST
from engine.templates.quality.gate import share

PART = 256
_DONE, _PROBLEMS, _UNSEEN = b"onek.run.done", b"onek.run.problems", b"onek.run.unseen"
# Part of the record of a run: it is raised when ids or columns change, so that a run of an older onek is not resumed.
_IDS = "content, quality"


@dataclass(frozen=True)
class EmbedSummary:
    """What a run made. `images` = the photographs that gave templates + `problems`. `unseen`: faces that were not looked at."""

    images: int
    templates: int
    problems: int
    problems_file: Path
    unseen: Unseen = ALL_SEEN


def partial_folder(out: Path) -> Path:
    """Where the parts of an unfinished run to `out` lie."""
    return unfinished(out, "partial")


def check_embed_output(out: Path, *, overwrite: bool, resume: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse, before any work, an output that exists, is an input, cannot be written, or has an unfinished run beside it.

    Raises:
        OutputError: which, and what to pass.
    """
    if out.suffix.lower() != ".parquet":
        raise OutputError(f"{out}: templates are written as Parquet; expected a name that ends in .parquet")
    unfinished_run = partial_folder(out).exists()
    # An interrupted run may have written its problems already, last of all.
    check_outputs(out, inputs, overwrite, [] if resume and unfinished_run else [problems_path(out)])
    if unfinished_run and not (resume or overwrite):
        raise OutputError(
            f"an interrupted run to {out} lies in {partial_folder(out)}; pass --resume to go on, or --overwrite to start anew"
        )


def embed_to_file(
    photographs: Sequence[Photograph],
    embedder: Embedder,
    out: Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    sources: bool = True,
    quality: float = LEAST,
    progress: Callable[[int], None] | None = None,
) -> EmbedSummary:
    """Embed photographs into a template file, and their problems into the file beside it.

    Memory does not grow with the number of photographs, and `out` appears only when it is complete. Interrupted, the run
    leaves its parts behind, and `resume` embeds the rest: nothing twice, nothing lost. Without `sources` the file does not say
    which photographs the templates were made of; the problems file does. What is below the gate `quality` is a problem.

    Raises:
        OutputError: the output exists, cannot be written, or an interrupted run was of other photographs or another encoder.
    """
    check_embed_output(out, overwrite=overwrite, resume=resume)
    folder = partial_folder(out)
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    own_folder(folder)
    _start(folder, photographs, embedder, quality)
    done = _done(folder)
    if progress:
        progress(done)
    outcomes_of = map(of_quality(quality), once_each(embedder.stream(photographs[done:], progress), _known(folder)))
    for outcomes in batched(outcomes_of, PART):
        done += len(outcomes)
        metadata = {
            _DONE: str(done),
            _PROBLEMS: json.dumps([asdict(problem) for problem in problems_of(outcomes)]),
            _UNSEEN: json.dumps(asdict(unseen_in(outcomes))),
        }
        part = to_batch(outcomes, embedder.provenance).replace_schema_metadata(metadata)
        with whole_file(folder / f"{done:012d}.parquet") as temporary:
            pq.write_table(pa.Table.from_batches([part]), temporary, compression="zstd")
    return _finish(folder, out, photographs, embedder, sources)


def _start(folder: Path, photographs: Sequence[Photograph], embedder: Embedder, quality: float) -> None:
    """Record what the run embeds and how, or check that the record of an earlier start says the same."""
    names = "\n".join(f"{photograph.source}\t{photograph.identity}" for photograph in photographs)
    ours = {
        "photographs": hashlib.sha256(names.encode()).hexdigest(),
        "count": len(photographs),
        "fingerprint": embedder.provenance.fingerprint,
        "faces": embedder.faces,
        "quality": quality,
        "ids": _IDS,
    }
    notes = folder / "run.json"
    if not notes.exists():
        with whole_file(notes) as temporary:
            temporary.write_text(json.dumps(ours), encoding="utf-8")
        return
    theirs = json.loads(notes.read_text(encoding="utf-8"))
    if theirs == ours:
        return
    if theirs.get("ids") != _IDS:
        what = "was begun by an older onek, which called templates otherwise, or said less of them"
    elif theirs["fingerprint"] != ours["fingerprint"]:
        what = f"has the fingerprint {theirs['fingerprint'][:12]}, this one {str(ours['fingerprint'])[:12]}: another encoder"
    elif theirs["faces"] != ours["faces"]:
        what = f"was with --faces {theirs['faces']}, this one with --faces {ours['faces']}"
    elif theirs["quality"] != quality:
        what = f"was with --quality {share(theirs['quality'])}, this one with --quality {share(quality)}"
    else:
        what = f"was of {theirs['count']} photographs, these are {ours['count']}, and not the same ones"
    raise OutputError(f"the interrupted run in {folder} {what}; pass --overwrite to start anew")


def _parts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))


def _done(folder: Path) -> int:
    parts = _parts(folder)
    return int(pq.read_schema(parts[-1]).metadata[_DONE]) if parts else 0


def _known(folder: Path) -> dict[str, tuple[str, str | None]]:
    """The photographs that the finished parts hold, in the form that `once_each` takes."""
    known = {}
    for part in _parts(folder):
        rows = pq.read_table(part, columns=["template_id", "source", "identity"]).to_pylist()
        known.update({picture_of(row["template_id"]): (row["source"], row["identity"]) for row in rows})
    return known


def _finish(folder: Path, out: Path, photographs: Sequence[Photograph], embedder: Embedder, sources: bool) -> EmbedSummary:
    with whole_file(out) as temporary:
        problems = write_problems(out, _problems(folder))
        with TemplateWriter(temporary, embedder.provenance) as writer:
            for part in _parts(folder):
                rows = pq.read_table(part).cast(schema(embedder.provenance))
                for each in (rows if sources else without_sources(rows)).to_batches():
                    writer.write(each)
    count = sum(1 for _ in _problems(folder))
    unseen = sum((Unseen(**json.loads(pq.read_schema(part).metadata[_UNSEEN])) for part in _parts(folder)), ALL_SEEN)
    shutil.rmtree(folder)
    return EmbedSummary(len(photographs), writer.rows, count, problems, unseen)


def _problems(folder: Path) -> Iterator[Problem]:
    for part in _parts(folder):
        for fields in json.loads(pq.read_schema(part).metadata[_PROBLEMS]):
            yield Problem(**fields)
