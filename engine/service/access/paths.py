"""Paths of requests: a / that was sent as %2F belongs to a name, and ends no part of the path."""

from urllib.parse import unquote


def told_apart(raw: bytes) -> str:
    """A path as it was sent, decoded, so that routes may be found by it; / and % in a name stay %2F and %25."""
    names = [unquote(part) for part in raw.decode("ascii", "replace").split("/")]
    return "/".join(name.replace("%", "%25").replace("/", "%2F") for name in names)


def name_in(part: str) -> str:
    """The name that a part of such a path is."""
    return part.replace("%2F", "/").replace("%25", "%")
