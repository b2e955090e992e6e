"""The tools whose templates are known by name: in which files they lie, and under which names what is in them."""

from dataclasses import dataclass
from difflib import get_close_matches

from engine.errors import TemplatesError
from engine.tables.lists import IDENTITY, Column

_JSON = (".json", ".jsonl", ".ndjson")
_NUMPY = (".npy", ".npz")
_PICKLES = (".pkl", ".pickle")
_TABLES = (".csv", *_JSON, ".parquet")
_ID = Column("template_id", ("id", "pk", "uuid"), required=False)
_SOURCE = Column("source", ("path", "file", "filename", "file name", "image", "photo"), required=False)


@dataclass(frozen=True)
class Tool:
    """A tool, what of it is read, and the columns that hold vectors, names, ids and sources; the first name that is there counts.

    `by_folder`: nothing in it says whose a template is but the folder of its source, as `people/kian/1.jpg` is kian's.
    """

    name: str
    about: str
    endings: tuple[str, ...]
    vector: Column
    identity: Column
    template_id: Column = _ID
    source: Column = _SOURCE
    by_folder: bool = False


def _vectors(*also: str) -> Column:
    return Column("vector", ("embedding", "embeddings", "encoding", "encodings", *also))


def _whose(*also: str) -> Column:
    return Column("identity", (*IDENTITY.also, *also), required=False)


TOOLS = {
    tool.name: tool
    for tool in (
        Tool(
            "deepface",
            "what DeepFace.find keeps beside its pictures: representations_*.pkl, ds_model_*.pkl",
            _PICKLES,
            Column("embedding", ("vgg face representation", "representation")),
            Column("name", required=False),
            Column("template_id", required=False),
            Column("identity"),
            by_folder=True,
        ),
        Tool(
            "face_recognition",
            "arrays of encodings, alone or in a pickle with their names",
            (*_PICKLES, *_NUMPY, *_JSON),
            _vectors("known face encodings", "known encodings", "known faces"),
            _whose("names", "labels", "known face names", "known names"),
        ),
        Tool(
            "insightface",
            "arrays of embeddings, with a list of names or a column of them",
            (*_NUMPY, *_PICKLES),
            _vectors("feat", "feats", "features", "normed embedding"),
            _whose("names", "labels", "ids"),
        ),
        Tool(
            "compreface",
            "its tables subject and embedding, joined, as CSV or JSON",
            _TABLES,
            _vectors(),
            _whose("subject name"),
            Column("template_id", ("embedding id", "id"), required=False),
            Column("source", ("img id", "image id"), required=False),
        ),
        Tool(
            "immich",
            "its tables face_search, asset_faces and person, joined, as CSV or JSON",
            _TABLES,
            _vectors(),
            _whose("person name", "personname"),
            Column("template_id", ("face id", "faceid", "id"), required=False),
            Column("source", ("original path", "originalpath", "asset id", "assetid"), required=False),
        ),
        Tool("qdrant", "points with their payload and vectors, as its API gives them", _JSON, _vectors("vectors"), _whose()),
        Tool("milvus", "rows as its API and its exports give them", _TABLES, _vectors("vectors", "feature"), _whose()),
        Tool(
            "huggingface",
            "a dataset's Parquet files, or the folder of them; labels by their names",
            (".parquet",),
            _vectors("features", "image embedding", "image embeddings"),
            _whose("labels", "names"),
            Column("template_id", required=False),
        ),
        Tool(
            "parquet",
            "Parquet of any tool, in folders such as identity=kian too",
            (".parquet",),
            _vectors(),
            _whose(),
        ),
    )
}


def tool_of(name: str) -> Tool:
    """The tool of a name. Raises `TemplatesError` where none is known by it."""
    if name not in TOOLS:
        near = get_close_matches(name, TOOLS, n=1)
        meant = f". Did you mean {near[0]}?" if near else ""
        raise TemplatesError(f"nothing is known of {name}'s templates; expected {', '.join(TOOLS)}{meant}")
    return TOOLS[name]
