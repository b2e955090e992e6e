"""The commands `onek benchmark milvus` and `ray`: parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer


def milvus_command(
    count: Annotated[int, typer.Option(min=1000, help="Templates, one an identity.")] = 100_000,
    probes: Annotated[int, typer.Option(min=2, help="Half of them mated.")] = 8192,
    rounds: int = 5,
    index: Annotated[str | None, typer.Option(metavar="KIND")] = None,
) -> None:
    """What identify adds to a bare search of the same milvus-lite collection, and whether it decides as in a folder."""
    import tempfile

    from benchmarks.milvus import measure_milvus
    from engine.terminal import out as console
    from engine.terminal import stages

    with tempfile.TemporaryDirectory() as folder, stages() as told:
        made = measure_milvus(Path(folder), count, probes, rounds, index, told)
    console.print(
        f"identify {made.identify:,.0f} probes/s, MilvusClient.search {made.bare:,.0f}: {100 * made.identify / made.bare:.0f} % "
        f"({100 * made.low:.0f} to {100 * made.high:.0f} in single rounds); asked for the same fields {made.bare_fields:,.0f}: "
        f"{100 * made.identify / made.bare_fields:.0f} %"
    )
    console.print(
        f"{100 * made.equal:.3f} % of {made.probes:,} decisions are those of a gallery in a folder; of the others "
        f"{made.unlike} had a candidate that Milvus did not find; built in {made.built_seconds:,.0f} s"
    )


def ray_command(
    photos: Annotated[Path, typer.Option(metavar="FOLDER", help="Photographs to embed.")],
    images: Annotated[int, typer.Option(min=256, help="How many of them.")] = 1500,
    count: Annotated[int, typer.Option(min=1000, help="Templates of the gallery, one an identity.")] = 100_000,
    probes: Annotated[int, typer.Option(min=2)] = 100_000,
    rounds: int = 3,
) -> None:
    """Two workers on Ray against one process with two threads: embed and identify, and whether the output is the same."""
    import tempfile

    from benchmarks.ray_speed import embedding_on_ray, identifying_on_ray
    from engine.terminal import out as console
    from engine.terminal import stages

    with tempfile.TemporaryDirectory() as folder, stages() as told:
        found = {
            "embed": embedding_on_ray(photos, images, rounds, Path(folder), told),
            "identify": identifying_on_ray(count, probes, rounds, Path(folder), told),
        }
    for name, made in found.items():
        same = "identical" if made.same else "DIFFERENT"
        console.print(
            f"{name}: {made.on_ray:,.0f}/s on Ray, {made.here:,.0f}/s in one process: {100 * made.on_ray / made.here:.0f} % "
            f"({100 * made.low:.0f} to {100 * made.high:.0f} in single rounds); output {same}"
        )
