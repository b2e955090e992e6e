"""The commands `onek demo` and `onek benchmark ...`: parse, call, print."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.cli.accuracy import accuracy_command, audit_command, lfw_command, shift_command
from benchmarks.cli.detection import detection_command
from benchmarks.cli.durability import (
    concurrent_command,
    fuzz_command,
    growth_command,
    kills_command,
    living_command,
    readers_command,
    tails_command,
    threads_command,
)
from benchmarks.cli.grouping import group_command
from benchmarks.cli.scale import milvus_command, ray_command, report_command, scale_command
from benchmarks.cli.search import (
    announced_command,
    decisions_command,
    fit_command,
    gallery_command,
    peers_command,
    search_command,
    templates_command,
)
from benchmarks.cli.thresholds import fit_quality_command, impostors_command, quality_command, small_galleries_command
from benchmarks.cli.training import learned_command, robustness_command, signals_command, training_command
from benchmarks.reporting import reporting
from benchmarks.service.commands import serve_command
from benchmarks.style.commands import style_augment_command, styles_command

if TYPE_CHECKING:
    from benchmarks.speed.encoder_throughput import Ratio

benchmark = typer.Typer(no_args_is_help=True, help="Measure accuracy, speed and memory.\n\nWhat docs/benchmarks.md says.")

Photos = Annotated[Path, typer.Option("--photos", metavar="FOLDER", help="A folder of photographs, such as LFW.")]
PeerKind = Annotated[
    str, typer.Option("--peer", metavar="dlib-wheel|dlib-built", help="Installed on demand in an environment of its own.")
]
PeerPython = Annotated[
    Path | None,
    typer.Option("--peer-python", metavar="PATH", help="The Python of an environment that holds the peer already."),
]
Flip = Annotated[
    bool | None, typer.Option("--flip/--no-flip", help="Average each face with its mirror image. Default: as the encoder does.")
]
Mixed = Annotated[bool, typer.Option("--mixed", help="On canvases of many shapes, some without a face.")]


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where pictures, templates, gallery and results go.")
    ] = Path("onek-demo"),
    enrolled: Annotated[int, typer.Option(min=2, help="People to enrol.")] = 200,
    strangers: Annotated[int, typer.Option(min=1, help="People who are not enrolled.")] = 100,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder of an earlier demo.")] = False,
) -> None:
    """Draw made-up people, enrol them, and look for them.

    New pictures of them and of strangers are identified.
    """
    from rich.table import Table

    from benchmarks.demo import FPIR, run_demo
    from engine.cli.console import out as console
    from engine.cli.console import progress

    outcome = run_demo(out, progress, enrolled=enrolled, strangers=strangers, overwrite=overwrite)
    table = Table("probes", "searched", "right", "wrong name", "unknown", "no face found", title="What onek said")
    for name, tally in (("of enrolled people", outcome.mated), ("of strangers", outcome.strangers)):
        table.add_row(name, *map(str, (tally.probes, tally.right, tally.wrong_name, tally.unknown, tally.failed)))
    console.print(table)
    console.print(f"Right: enrolled people by their name, strangers as unknown (--fpir {FPIR}: so many may get a name).")
    console.print("These people are drawn: that the whole way works is shown, nothing about accuracy on real people.")
    for what, path in (
        ("pictures", outcome.folder),
        ("templates", outcome.templates),
        ("gallery", outcome.gallery),
        ("results", outcome.results),
    ):
        console.print(f"  {what:<10} {path}")


@benchmark.command("verification")
def verification_command(
    photos: Photos,
    pairs: Annotated[Path, typer.Option(metavar="CSV", help="Columns a, b (paths below the folder) and same (1 or 0).")],
    encoder: Annotated[str, typer.Option(metavar="NAME|PATH")] = "sface",
    weights: Annotated[Path | None, typer.Option(metavar="FOLDER|FILE")] = None,
    flip: Flip = None,
    faces: Annotated[str, typer.Option(metavar="largest|none")] = "largest",
) -> None:
    """1:1 accuracy on labelled pairs, in ten folds."""
    from benchmarks.accuracy.verification import read_pairs, verification
    from engine.cli.console import out as console
    from engine.cli.console import progress

    listed = read_pairs(pairs)
    with progress("embedding", len({name for pair in listed for name in (pair.a, pair.b)})) as done:
        made = verification(photos, listed, encoder, flip=flip, faces=faces, weights=weights, progress=done)
    accuracy = made.accuracy
    console.print(
        f"{encoder}, {'mirror average' if made.flip else 'no mirror average'}: {100 * accuracy.mean:.2f} % "
        f"+- {100 * accuracy.standard_error:.2f} of {made.pairs:,} pairs, threshold {accuracy.threshold:.3f}; "
        f"{made.photographs:,} photographs, {len(made.failed)} without a face"
    )


@benchmark.command("encoder")
def encoder_command(
    photos: Photos, peer: PeerKind = "dlib-wheel", peer_python: PeerPython = None, count: int = 256, rounds: int = 7
) -> None:
    """Encoder throughput at batch 32, crops in memory, against dlib's own code in the same run."""
    from benchmarks.speed.encoder_throughput import encoder_against_dlib
    from engine.cli.console import progress
    from engine.faces.images import find_images

    _known(peer)
    with progress("rounds", rounds) as done:
        ratio = encoder_against_dlib(find_images(photos)[:count], peer, rounds=rounds, python=peer_python, progress=done)
    _print_ratio("crops", ratio)


@benchmark.command("photographs")
def photographs_command(
    photos: Photos,
    peer: PeerKind = "dlib-wheel",
    peer_python: PeerPython = None,
    count: int = 500,
    rounds: int = 5,
    flip: Flip = None,
    runtime: Annotated[str | None, typer.Option(metavar="opencv|openvino|openvino-half")] = None,
    mixed: Mixed = False,
) -> None:
    """Photographs to templates, detection included, against face_recognition on the same files in the same run."""
    import tempfile

    from benchmarks.data.mixed_shapes import write_mixed
    from benchmarks.speed.encoder_throughput import files_against_face_recognition
    from engine.cli.console import out as console
    from engine.cli.console import progress
    from engine.faces.images import find_images

    _known(peer)
    with tempfile.TemporaryDirectory() as folder, progress("rounds", rounds) as done:
        files = find_images(photos)[:count]
        if mixed:
            files = write_mixed(files, Path(folder))
        made = files_against_face_recognition(
            files, peer, flip=flip, runtime=runtime, rounds=rounds, python=peer_python, progress=done
        )
    _print_ratio("photographs", made.rate)
    spent = made.stages
    console.print(
        f"{made.runtime}; a photograph takes {spent.decoding:.1f} ms of a thread to decode, {spent.detecting:.1f} to find "
        f"and align its face, {spent.encoding:.1f} to encode"
    )
    console.print(
        f"{made.files} files: {len(made.missed)} faces missed that the peer finds, {len(made.theirs_missed)} found that it misses"
    )
    for path in made.missed:
        console.print(f"  missed: {path}")


@benchmark.command("landmarks")
def landmarks_command(
    photos: Photos,
    peer_python: PeerPython = None,
    without: Annotated[
        Path | None, typer.Option(metavar="PAIRS.csv", help="Leave out the people of these pairs, on whom accuracy is measured.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Photographs, evenly from all.")] = 1000,
) -> None:
    """Where our landmarks lie on dlib's own chips: the points of dlib-resnet."""
    from benchmarks.accuracy.verification import read_pairs
    from benchmarks.faces.landmarks import fit_landmarks
    from engine.cli.console import out as console
    from engine.cli.console import progress
    from engine.faces.images import find_images

    named = set() if without is None else {Path(name).parts[0] for pair in read_pairs(without) for name in (pair.a, pair.b)}
    files = [path for path in find_images(photos) if path.relative_to(photos).parts[0] not in named]
    files = files[:: max(1, len(files) // count)][:count]
    with progress("photographs", len(files)) as done:
        made = fit_landmarks(files, peer_python, done)
    for (x, y), spread in zip(made.points, made.spread, strict=True):
        console.print(f"({x:.2f}, {y:.2f})  +- {spread:.2f}")
    console.print(f"pixels of a chip of 150, medians over {made.files} of {made.of} photographs")


@benchmark.command("memory")
def memory_command(
    photos: Photos,
    counts: Annotated[list[int], typer.Option("--count", help="How many images; give it several times.")] = [1_000, 10_000],  # noqa: B006
    mixed: Mixed = False,
) -> None:
    """Peak memory of onek embed at several numbers of images, of one shape or of many."""
    import tempfile

    from benchmarks.data.mixed_shapes import write_mixed
    from benchmarks.speed.process_footprint import embed_memory
    from engine.cli.console import out as console
    from engine.cli.console import progress
    from engine.faces.images import find_images

    with tempfile.TemporaryDirectory() as folder, progress("runs", len(counts)) as done:
        files = find_images(photos)[:1000]
        peaks = embed_memory(write_mixed(files, Path(folder, "p")) if mixed else files, counts, Path(folder, "t.parquet"), done)
    for peak in peaks:
        console.print(
            f"{peak.images:>8,} images: {peak.mebibytes:,.0f} MiB at most, {peak.mebibytes / peaks[0].mebibytes:.3f} of the first"
        )


@benchmark.command("start")
def start_command(rounds: int = 7) -> None:
    """How long `import engine` and commands take, in fresh processes."""
    from benchmarks.speed.process_footprint import starts
    from engine.cli.console import out as console

    for start in starts(rounds):
        console.print(f"{start.command}: {start.seconds:.2f} s, {start.cpu:.2f} s of CPU (a bare Python {start.bare:.3f} s)")


@benchmark.command("calls")
def calls_command(count: Annotated[int, typer.Option(min=20)] = 1000) -> None:
    """Gallery.identify of one photograph a call: time and memory."""
    from benchmarks.speed.process_footprint import calls
    from engine.cli.console import out as console

    made = calls(count)
    console.print(
        f"{made.count:,} calls: the first {made.first:.2f} s, the others {1000 * made.median:.0f} ms in the median; "
        f"{made.mebibytes:,.0f} MiB at most, {made.growth:.3f} of the peak after a tenth of them"
    )


benchmark.command("accuracy")(accuracy_command)
benchmark.command("shift")(shift_command)
benchmark.command("audit")(audit_command)
benchmark.command("lfw")(lfw_command)
benchmark.command("detection")(detection_command)
benchmark.command("search")(search_command)
benchmark.command("decisions")(decisions_command)
benchmark.command("announced")(announced_command)
benchmark.command("peers")(peers_command)
benchmark.command("gallery")(gallery_command)
benchmark.command("living")(living_command)
benchmark.command("tails")(tails_command)
benchmark.command("kills")(kills_command)
benchmark.command("readers")(readers_command)
benchmark.command("concurrent")(concurrent_command)
benchmark.command("threads")(threads_command)
benchmark.command("growth")(growth_command)
benchmark.command("fuzz")(fuzz_command)
benchmark.command("serve")(serve_command)
benchmark.command("learned")(learned_command)
benchmark.command("robustness")(robustness_command)
benchmark.command("training")(training_command)
benchmark.command("signals")(signals_command)
benchmark.command("styles")(styles_command)
benchmark.command("style-augment")(style_augment_command)
benchmark.command("milvus")(milvus_command)
benchmark.command("ray")(ray_command)
benchmark.command("scale")(scale_command)
benchmark.command("report")(report_command)
benchmark.command("fit-templates")(fit_command)
benchmark.command("templates")(templates_command)
benchmark.command("impostors")(impostors_command)
benchmark.command("small-galleries")(small_galleries_command)
benchmark.command("quality")(quality_command)
benchmark.command("fit-quality")(fit_quality_command)
benchmark.command("group")(group_command)
for registered in benchmark.registered_commands:
    if registered.callback is not None and registered.name is not None:
        registered.callback = reporting(registered.callback, registered.name)


def _known(peer: str) -> None:
    from benchmarks.peers.environment import KINDS, PeerError

    faces = [name for name in KINDS if name.startswith("dlib")]
    if peer not in faces:
        raise PeerError(f"--peer {peer}: expected {' or '.join(faces)}")


def _print_ratio(unit: str, ratio: "Ratio") -> None:
    from engine.cli.console import out as console

    console.print(
        f"{ratio.ours:.1f} {unit}/s, {ratio.peer}: {ratio.theirs:.1f} {unit}/s, "
        f"{ratio.ratio:.1f} times as fast ({ratio.low:.1f} to {ratio.high:.1f} in single rounds)"
    )
