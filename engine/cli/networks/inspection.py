"""The commands that explain: `explain` and `explain-encoder`. Parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import Overwrite, OwnEncoder, OwnProjection, OwnWeights


def explain_command(
    probe: Annotated[Path, typer.Argument(metavar="PROBE", help="A photograph.")],
    gallery: Annotated[str, typer.Option("--gallery", "-g", metavar="GALLERY", help="The gallery.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="WHY.png", help="The picture to draw: PNG, SVG or PDF.")],
    identity: Annotated[str | None, typer.Option("--identity", metavar="NAME", help="Default: the first candidate.")] = None,
    faces: Annotated[str | None, typer.Option(metavar="largest|none", help="Default: as the gallery was made.")] = None,
    encoder: OwnEncoder = None,
    weights: OwnWeights = None,
    projection: OwnProjection = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw why a probe has this candidate.

    Which parts of the face, covered, take it away. The picture shows faces.
    """
    from engine.cli.console import tell
    from engine.files.outputs import check_outputs
    from engine.inspection.figures import check_picture, draw_explanation
    from engine.inspection.occlusion import explain
    from engine.workflows.locations import open_files

    check_picture(out)
    check_outputs(out, [probe, Path(gallery)], overwrite)
    opened = open_files(gallery, "explain")
    if encoder or weights or projection:
        opened.embedder(faces, encoder=encoder, weights=weights, projection=projection)
    found = explain(opened, probe, identity, faces)
    draw_explanation(found, out)
    covered = found.distance + float(found.pull.max())
    tell(
        f"{probe} is {found.distance:.4f} from {found.identity}; covered at its most telling place {covered:.4f}; in {out}",
        probe=str(probe),
        identity=found.identity,
        distance=found.distance,
        distance_covered=covered,
        picture_file=str(out),
    )


def explain_encoder_command(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTOS...", help="As for train, such as those it was trained on.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="CHANNELS.png", help="The picture to draw: PNG, SVG or PDF.")],
    encoder: Annotated[str, typer.Option(metavar="dlib-resnet|PATH.keras")] = "dlib-resnet",
    layers: Annotated[int, typer.Option(min=1, help="Convolutions, evenly from the first to the last.")] = 5,
    channels: Annotated[int, typer.Option(min=1, help="Channels of each.")] = 4,
    faces: Annotated[str, typer.Option(metavar="largest|none")] = "largest",
    overwrite: Overwrite = False,
) -> None:
    """Draw what an encoder has learnt.

    The chips that excite its channels most, layer by layer. The picture shows faces.
    """
    import tempfile

    from engine.cli.console import count, progress, tell, told_what_is_left_out
    from engine.embedding.photographs import find_photographs
    from engine.files.outputs import check_outputs
    from engine.inspection.channels import most_activating_chips
    from engine.inspection.figures import check_picture, draw_channels
    from engine.training.chips import cut_chips
    from engine.training.networks import begun

    check_picture(out)
    check_outputs(out, [*photos, Path(encoder)], overwrite)
    network = begun(encoder)
    with told_what_is_left_out() as left_out:
        photographs = find_photographs(photos, left_out=left_out)
    with tempfile.TemporaryDirectory() as folder, progress("chips", len(photographs)) as done:
        chips = cut_chips(photographs, network.chip, faces, Path(folder), done)
        pixels = chips.pixels[: len(chips.names)]
        found = most_activating_chips(network, pixels, layers=layers, channels=channels)
        draw_channels(found, pixels, out)
    tell(f"{count(len(found), 'channel')} of {encoder} in {out}", encoder=encoder, channels=len(found), picture_file=str(out))
