"""The base error of onek, and what an index raises."""


class OnekError(Exception):
    """Something that the user can change: the message names what was found, what was expected and what to do."""


class VectorsError(OnekError):
    """Vectors that cannot be indexed or searched for: the wrong shape, NaN, infinite, or not of unit length."""


class IndexFileError(OnekError):
    """The bytes of an index file are not what the gallery recorded, or not an index at all."""
