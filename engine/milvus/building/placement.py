"""Where a Milvus keeps a gallery, and how: what `build-index --milvus` asks for."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from engine.errors import GalleryError

CONSISTENCY = ("Strong", "Bounded", "Session", "Eventually")


@dataclass(frozen=True)
class Placement:
    """`shards` divide what is written among nodes, `replicas` what is searched, in `resource_groups` of nodes, one for each
    replica or one for all; `mmap`: whether vectors may lie on the nodes' disks. `consistency`: Milvus's own word; with any but
    Strong, what was acknowledged is seen a moment later. Of what is None, the server decides.
    """

    replicas: int = 1
    shards: int | None = None
    resource_groups: tuple[str, ...] = ()
    mmap: bool | None = None
    consistency: str = "Strong"

    def creating(self) -> dict[str, Any]:
        """What the making of a collection is told."""
        said: dict[str, Any] = {"consistency_level": self.consistency}
        if self.shards is not None:
            said["num_shards"] = self.shards
        if self.mmap is not None:
            said["properties"] = {"mmap.enabled": str(self.mmap).lower()}
        return said

    def loading(self) -> dict[str, Any]:
        """What the loading of a collection is told."""
        said: dict[str, Any] = {"replica_number": self.replicas} if self.replicas > 1 else {}
        if self.resource_groups:
            said["resource_groups"] = list(self.resource_groups)
        return said


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 64:
        raise ValueError("expected a number from 1 to 64")
    return int(text)


def _groups(text: str) -> tuple[str, ...]:
    groups = tuple(text.split("+"))
    if not all(groups):
        raise ValueError("expected names with + between them")
    return groups


def _yes(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("expected yes or no")
    return text == "yes"


def _level(text: str) -> str:
    if text.capitalize() not in CONSISTENCY:
        raise ValueError(f"expected one of {', '.join(CONSISTENCY).lower()}")
    return text.capitalize()


_READ: dict[str, Callable[[str], Any]] = {
    "replicas": _count,
    "shards": _count,
    "resource_groups": _groups,
    "mmap": _yes,
    "consistency": _level,
}


def placement(text: str) -> Placement:
    """Read `replicas=2,shards=8,resource-groups=a+b,mmap=yes,consistency=bounded`, any of them.

    Raises:
        GalleryError: it is something else; says what one can ask for.
    """
    asked: dict[str, Any] = {}
    for part in text.split(","):
        name, given, value = part.strip().partition("=")
        key = name.replace("-", "_")
        if not given or key not in _READ or key in asked:
            known = ", ".join(field.name.replace("_", "-") for field in fields(Placement))
            raise GalleryError(f"--milvus {text}: found {part.strip()!r}; expected NAME=VALUE, each once, of {known}")
        try:
            asked[key] = _READ[key](value)
        except ValueError as error:
            raise GalleryError(f"--milvus {text}: {name} is {value!r}; {error}") from error
    made = Placement(**asked)
    if len(made.resource_groups) not in (0, 1, made.replicas):
        raise GalleryError(
            f"--milvus {text}: {len(made.resource_groups)} resource groups for {made.replicas} replicas; "
            "expected one, or one for each"
        )
    return made
