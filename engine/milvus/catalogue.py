"""What a gallery in Milvus knows of itself: a small collection of texts. Its row `head` says which collection has the templates.

A gallery changes its collection, its calibration or both by the writing of that one row.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from uuid import uuid4

from engine.calibration.calibration import Calibration
from engine.common.dataclass_json import from_plain
from engine.errors import GalleryError, GalleryReplaced
from engine.matching.scoring import Scoring
from engine.milvus.building.placement import Placement
from engine.milvus.collection import ENTITY, WHOLE, IndexKind
from engine.milvus.connection.client import MilvusConnection
from engine.templates.provenance import Provenance

# Format 1 knew nothing of what a template is worth.
FORMAT = 2
_HEAD, _BUILDING = "head", "building"
# Bytes of a text in one row; Milvus keeps 65,535.
_PART = 60_000
_FIELDS = {"key", "value", "nothing"}


@dataclass(frozen=True)
class MilvusCatalogue:
    """`collection` has the templates, found through an index `kind` with `effort`, which found `recall` of the exact answers.

    `version` is another after every `write`. `qualities`: whether the collection says what its templates are worth.
    """

    collection: str
    created: str
    provenance: Provenance
    scoring: Scoring
    kind: IndexKind
    effort: int | None
    recall: float
    calibration: Calibration | None
    version: str = ""
    placement: Placement = field(default_factory=Placement)
    qualities: bool = True

    @property
    def entity(self) -> tuple[str, ...]:
        """The fields that a search brings back of a template."""
        return self._there(ENTITY)

    @property
    def whole(self) -> tuple[str, ...]:
        """All fields of a template, but for its key."""
        return self._there(WHOLE)

    def _there(self, fields: tuple[str, ...]) -> tuple[str, ...]:
        return fields if self.qualities else tuple(name for name in fields if name != "quality")


def require_writable(client: MilvusConnection) -> None:
    """Try whether a gallery can be made, which takes a moment: a small collection is, and goes again. Raises `GalleryError`."""
    tried = f"{client.address.name}_{uuid4().hex[:12]}_tried"
    _create(client, tried)
    client.call("drop_collection", tried)


def begin(client: MilvusConnection, collection: str) -> None:
    """Note that a collection is being built; make the catalogue where there is none."""
    name = client.address.name
    if not client.call("has_collection", name):
        _create(client, name)
    require_ours(client)
    _load(client)
    _put(client, _BUILDING, collection)


def building(client: MilvusConnection) -> str | None:
    """The collection that somebody began to build and did not finish."""
    return _get(client, _BUILDING)


def write(client: MilvusConnection, catalogue: MilvusCatalogue) -> None:
    """Make this the gallery from now on."""
    old = _get(client, _HEAD)
    calibration, parts = None, 0
    if catalogue.calibration is not None:
        calibration, text = uuid4().hex, catalogue.calibration.to_json()
        cut = [text[start : start + _PART // 4] for start in range(0, len(text), _PART // 4)]
        parts = len(cut)
        for number, part in enumerate(cut):
            _put(client, f"{calibration}/{number}", part)
    said = {
        "format": FORMAT if catalogue.qualities else 1,
        **{name: value for name, value in asdict(catalogue).items() if name not in ("calibration", "qualities")},
        "calibration": calibration,
        "parts": parts,
        "version": uuid4().hex,
    }
    _put(client, _HEAD, json.dumps(said))
    gone = [_BUILDING]
    if old is not None:
        before = json.loads(old)
        gone += [f"{before['calibration']}/{number}" for number in range(before["parts"])]
    client.call("delete", client.address.name, ids=gone)


def read(client: MilvusConnection) -> MilvusCatalogue:
    """What the gallery is.

    Raises:
        GalleryError: there is none of that name, it is not ours, was never finished, or was written by a newer onek.
    """
    address = client.address
    if not client.call("has_collection", address.name):
        raise GalleryError(f"{address}: there is no gallery of that name; onek build-index T.parquet --out {address} makes one")
    require_ours(client)
    _load(client)
    text = _get(client, _HEAD)
    if text is None:
        raise GalleryError(f"{address} was never finished: its build was cut off; build it again with overwrite=True")
    try:
        return _parsed(client, text)
    except (ValueError, KeyError, TypeError) as error:
        if _get(client, _HEAD) != text:  # somebody wrote it anew, and took the former calibration away
            return read(client)
        raise GalleryError(f"{address}: its catalogue is damaged ({error}); build it again with overwrite=True") from error


def _parsed(client: MilvusConnection, text: str) -> MilvusCatalogue:
    said = json.loads(text)
    if said["format"] not in (1, FORMAT):
        raise GalleryError(
            f"{client.address} has the format {said['format']}; this onek reads formats 1 and {FORMAT}, so take a newer onek"
        )
    return MilvusCatalogue(
        collection=said["collection"],
        created=said["created"],
        provenance=from_plain(Provenance, said["provenance"]),
        scoring=from_plain(Scoring, said["scoring"]),
        kind=IndexKind(**said["kind"]),
        effort=said["effort"],
        recall=said["recall"],
        calibration=_calibration(client, said),
        version=said["version"],
        placement=_placement(said.get("placement", {})),
        qualities=said["format"] > 1,
    )


def with_calibration(client: MilvusConnection, catalogue: MilvusCatalogue, calibration: Calibration) -> None:
    """Keep another calibration, which was learnt from the gallery that a catalogue is of.

    Raises:
        GalleryReplaced: another gallery has taken its place.
    """
    now = read(client)
    if now.collection != catalogue.collection:
        raise GalleryReplaced(f"{client.address} was built anew by somebody else while it was calibrated; calibrate it again")
    write(client, replace(now, calibration=calibration))


def _calibration(client: MilvusConnection, said: dict[str, Any]) -> Calibration | None:
    if said["calibration"] is None:
        return None
    keys = [f"{said['calibration']}/{number}" for number in range(said["parts"])]
    found = {row["key"]: row["value"] for row in client.call("get", client.address.name, ids=keys, output_fields=["value"])}
    return Calibration.from_json("".join(found[key] for key in keys))


def _placement(said: dict[str, Any]) -> Placement:
    """A list is what JSON makes of a tuple; galleries of before have none of it."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
    return Placement(**values)


def _create(client: MilvusConnection, name: str) -> None:
    from pymilvus import DataType, MilvusClient

    made = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    made.add_field("key", DataType.VARCHAR, is_primary=True, max_length=64)
    made.add_field("value", DataType.VARCHAR, max_length=65_535)
    # Milvus has no collection without vectors.
    made.add_field("nothing", DataType.FLOAT_VECTOR, dim=2)
    wanted = MilvusClient.prepare_index_params()
    wanted.add_index("nothing", index_type="FLAT", metric_type="IP")
    client.call("create_collection", name, schema=made, index_params=wanted, consistency_level="Strong")


def require_ours(client: MilvusConnection) -> None:
    """Refuse a collection of the gallery's name that is something else. Raises `GalleryError`."""
    found = {field["name"] for field in client.call("describe_collection", client.address.name)["fields"]}
    if found != _FIELDS:
        raise GalleryError(
            f"{client.address}: the collection {client.address.name} is not a gallery of onek's (it has the fields "
            f"{', '.join(sorted(found))}); choose another name"
        )


def _load(client: MilvusConnection) -> None:
    client.call("load_collection", client.address.name)


def _put(client: MilvusConnection, key: str, value: str) -> None:
    client.call("upsert", client.address.name, [{"key": key, "value": value, "nothing": [1.0, 0.0]}])


def _get(client: MilvusConnection, key: str) -> str | None:
    found = client.call("get", client.address.name, ids=[key], output_fields=["value"])
    return found[0]["value"] if found else None
