"""Bulk import: templates go into the bucket that Milvus's own nodes read from, and these take them in side by side."""

import json
import os
import time
import urllib.request
from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.common.concurrency import batched
from engine.errors import GalleryError
from engine.files.atomic_files import whole_file
from engine.files.object_storage import is_remote, remove, uri
from engine.milvus.connection.client import LONG, SECONDS, TOKEN, MilvusConnection, Row

BUCKET = "ONEK_MILVUS_BUCKET"
"""The environment variable that names the bucket that Milvus is configured with, or a folder in it: `s3://BUCKET/FOLDER`."""

# Batches of rows in one file; files of one job, of which Milvus takes 1,024 at the most.
_BATCHES, _FILES = 32, 1000
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("key", "template_id", "identity", "person", "source")),
        *((name, pa.float32()) for name in ("density", "following", "quality")),
        *((name, pa.bool_()) for name in ("counted", "first")),
        ("vector", pa.list_(pa.float32())),
    ]
)
# Seconds between looks at a job.
_PAUSE = 0.5


def bucket_of(client: MilvusConnection) -> Path | None:
    """Where files for a server lie that takes them in; None where nobody named a bucket, or the server cannot.

    Raises:
        GalleryError: the variable names no object storage.
    """
    named = os.environ.get(BUCKET)
    if not named or client.lite:
        return None
    if not is_remote(named):
        raise GalleryError(f"{BUCKET} is {named}; expected s3://BUCKET, the one that Milvus is configured with")
    return Path(named)


def import_rows(client: MilvusConnection, collection: str, batches: Iterable[list[Row]], bucket: Path) -> None:
    """Have Milvus take in rows for an empty collection, as `engine.milvus.collection.put` would write them.

    Args:
        client: its server reads from the bucket.
        collection: that `engine.milvus.collection.create` made.
        batches: of rows.
        bucket: Parquet files lie there while Milvus reads them.

    Raises:
        GalleryError: Milvus does not answer, or did not take them in; says why.
        StorageError: object storage does not answer, or refuses.
    """
    files: list[Path] = []
    left = iter(batches)
    try:
        while some_rows := next(left, None):
            files.append(bucket / collection / f"{len(files):06}.parquet")
            _write(chain([some_rows], islice(left, _BATCHES - 1)), files[-1])
        for some in batched(files, _FILES):
            _finish(client, _asked(client, "create", collectionName=collection, files=[[_key(file)] for file in some]))
    finally:
        for file in files:
            remove(file)


def _write(batches: Iterable[list[Row]], file: Path) -> None:
    with whole_file(file) as temporary, pq.ParquetWriter(temporary, _SCHEMA) as writer:
        for rows in batches:
            writer.write_table(pa.Table.from_pylist(rows, _SCHEMA))


def _key(file: Path) -> str:
    """An object's name within its bucket."""
    return uri(file).partition("://")[2].partition("/")[2]


def _finish(client: MilvusConnection, job: dict[str, Any]) -> None:
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        seen = _asked(client, "describe", jobId=job["jobId"])
        if seen["state"] == "Failed":
            raise GalleryError(
                f"{client.address}: Milvus did not take in the files in {os.environ[BUCKET]} ({seen.get('reason')}); is this "
                f"the bucket that it is configured with? Without {BUCKET} templates go there over the network"
            )
        if seen["state"] == "Completed":
            return
        time.sleep(_PAUSE)
    raise GalleryError(f"{client.address}: Milvus has not taken in its files within {LONG:g} s; look at its import jobs")


def _over_http(client: MilvusConnection) -> str:
    """Milvus answers HTTP and its own protocol on one port."""
    return client.address.uri


def _asked(client: MilvusConnection, what: str, **values: Any) -> dict[str, Any]:
    """What Milvus answers over HTTP: it has no other call for this."""
    address = f"{_over_http(client)}/v2/vectordb/jobs/import/{what}"
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ.get(TOKEN, '')}"}
    request = urllib.request.Request(address, json.dumps(values).encode(), headers)  # noqa: S310 - http or https, by the address
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            said = json.load(answer)
    except (OSError, ValueError) as error:
        raise GalleryError(f"{client.address}: no answer to an import ({error}); without {BUCKET} none is asked for") from error
    if said.get("code") != 0:
        raise GalleryError(f"{client.address}: Milvus says to an import: {said.get('message')}")
    return dict(said["data"])
