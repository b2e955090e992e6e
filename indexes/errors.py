"""The base error of onek, and what an index raises."""


class OnekError(Exception):
    """Something that the user can change: the message names what was found, what was expected and what to do."""


class VectorsError(OnekError):
    """Vectors that cannot be indexed or searched for: the wrong shape, NaN, infinite, too few for the kind of index."""


class IndexFileError(OnekError):
    """The bytes of an index file are not what was written, are no index at all, or of a newer format."""


class IndexUnsupported(OnekError):
    """Something that this kind of index does not do, or a FAISS string that cannot be used."""


class PlanError(OnekError):
    """No index does what was asked for: the memory is too small, or the recall cannot be reached."""
