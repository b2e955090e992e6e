"""The command `serve`: parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer


def serve_command(
    galleries: Annotated[
        list[str], typer.Argument(metavar="GALLERY...", help="Galleries, or a folder of them; each has the name of its folder.")
    ],
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen. Another than this machine's takes --tokens.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen.")] = 8000,
    tokens: Annotated[Path | None, typer.Option(metavar="TOKENS.toml", help="Who may ask; see onek token.")] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", metavar="C.pem", help="The certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="K.pem", help="Its key.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="What it is called; other names are refused."),
    ] = None,
    events: Annotated[int, typer.Option(min=0, metavar="DAYS", help="Keep who was let in, when, for so long. 0: none.")] = 0,
    keep: Annotated[
        str | None, typer.Option(metavar="FOLDER:DAYS", help="Keep the pictures of identify there, for so long. Default: none.")
    ] = None,
    challenge: Annotated[
        str | None,
        typer.Option(metavar="turn", help="Let nobody in who does not turn their head as asked: stops a flat picture, no film."),
    ] = None,
    pad: Annotated[
        str | None,
        typer.Option(metavar="MODULE:NAME", help="Your own detector of presentation attacks; it may refuse."),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(metavar="PATH", help="The galleries' encoder, where that is a file: none is loaded unasked.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(metavar="FOLDER|FILE", help="The same for its weights.")] = None,
    projection: Annotated[Path | None, typer.Option(metavar="P.npz", help="The same for the projection behind it.")] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What runs the encoder: opencv, openvino or openvino-half. Default: as for one photograph.",
        ),
    ] = None,
    max_body: Annotated[str, typer.Option("--max-body", metavar="SIZE", help="The largest request.")] = "20MiB",
    max_megapixels: Annotated[float, typer.Option("--max-megapixels", min=0.1, help="The largest picture.")] = 25,
    max_faces: Annotated[int, typer.Option("--max-faces", min=1, help="Faces of a picture; one with more is refused.")] = 50,
    rate: Annotated[float, typer.Option(min=0, help="Requests a second of one token or address. 0: any.")] = 100,
    timeout: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="When a request is given up.")] = 30,
    log_names: Annotated[bool, typer.Option("--log-names", help="Write paths, which have names in them, into the log.")] = False,
) -> None:
    """Answer over HTTP, until the process is asked to end.

    The page of a door at /, the API at /v1.
    """
    from engine.cli.console import bytes_of, err
    from engine.errors import GalleryError

    try:
        from engine.service.server import serve
        from engine.service.settings import Settings
    except ModuleNotFoundError as missing:
        raise GalleryError(f"onek serve needs {missing.name}: pip install 'onek[serve]'") from missing
    folder, days = _kept(keep)
    settings = Settings(
        galleries="\n".join(galleries),
        host=host,
        port=port,
        workers=workers,
        tokens=_text(tokens),
        tls_cert=_text(tls_cert),
        tls_key=_text(tls_key),
        allowed_hosts=",".join(allow_host or ()),
        encoder=encoder,
        weights=_text(weights),
        projection=_text(projection),
        runtime=runtime,
        keep=folder,
        keep_days=days,
        events_days=events,
        challenge=challenge,
        pad=pad,
        log_names=log_names,
        body=bytes_of(max_body, "--max-body") or 0,
        megapixels=max_megapixels,
        faces=max_faces,
        rate=rate,
        seconds=timeout,
    )
    serve(settings, err.print)


def _kept(keep: str | None) -> tuple[str | None, int]:
    from engine.errors import OutputError

    if keep is None:
        return None, 0
    folder, _, days = keep.rpartition(":")
    if not folder or not days.isdecimal() or not int(days):
        raise OutputError(f"--keep {keep}: expected FOLDER:DAYS, such as pictures:30")
    return folder, int(days)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
