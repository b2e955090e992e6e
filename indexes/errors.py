"""The base class of onek's errors, and the errors of indexes and their planner."""


class OnekError(Exception):
    """An error that the user can mend: the message names what was found, what was expected and what to do."""


class VectorsError(OnekError):
    """Vectors that cannot be indexed or searched for: the wrong shape or type, NaN, infinity, too few for the kind of index."""


class IndexFileError(OnekError):
    """An index file is damaged, is no index file, or has another format."""


class IndexUnsupported(OnekError):
    """A kind of index that does not exist or cannot do what was asked, or a FAISS factory string that cannot be used."""


class PlanError(OnekError):
    """No index fulfils the request: too little memory or disk, or a recall that cannot be reached."""
