"""The typed errors of the engine. All of them are `OnekError`: caught at the command line, they end with exit status 2."""

from numbers import Integral, Real

from indexes.errors import IndexFileError, IndexUnsupported, OnekError, PlanError, VectorsError

__all__ = [
    "EncoderError",
    "EncoderMismatch",
    "FormerFile",
    "GalleryBusy",
    "GalleryError",
    "GalleryReplaced",
    "GroupingError",
    "ImageProblem",
    "IndexFileError",
    "IndexUnsupported",
    "ListError",
    "ListGuess",
    "MetricsError",
    "MissingPackage",
    "NameRefused",
    "NotEnrolled",
    "OnekError",
    "OutputError",
    "PhotographsError",
    "PlanError",
    "ServiceError",
    "SpreadError",
    "StorageError",
    "StyleError",
    "TemplatesError",
    "TrainingError",
    "VectorsError",
    "WrongType",
]


class PhotographsError(OnekError):
    """The photographs to work on cannot be listed: a missing folder, no images in it, labels that do not fit."""


class NameRefused(OnekError):
    """A text that can be nobody's name: blank, or with control characters in it."""


class ListError(OnekError):
    """A list that cannot be read, lacks a column, or says two things of one photograph."""


class ListGuess(UserWarning):
    """What was guessed of a list: what parts its columns, which of them is meant. The command line prints it."""


class FormerFile(UserWarning):
    """A file of an older onek is read, and what it does not say is not known. The command line prints it."""


class ImageProblem(OnekError):
    """One image gave no template. The run goes on, and the message becomes a row of the problems file."""


class EncoderError(OnekError):
    """An encoder that does not exist, or whose weights cannot be read."""


class EncoderMismatch(OnekError):
    """Templates that different encoders (or one encoder with different preprocessing) made were about to be compared."""


class TemplatesError(OnekError):
    """A template file that cannot be read, or that holds something that is no template."""


class GalleryError(OnekError):
    """A folder that is no gallery, a damaged gallery, or a question that it cannot answer."""


class GalleryBusy(GalleryError):
    """Another process was writing to the gallery for as long as this one was willing to wait."""


class NotEnrolled(GalleryError, KeyError):
    """Nobody of that name is enrolled. A `KeyError` too, as of a dict that has no such key."""

    __str__ = Exception.__str__


class GalleryReplaced(GalleryError):
    """Another gallery took the place of the one that was being asked, which is gone: an answer would mix both."""


class GroupingError(OnekError):
    """Faces that cannot be grouped, corrections that contradict each other or name what is not there, a damaged groups file."""


class TrainingError(OnekError):
    """Pictures that nothing can be learnt from, a run that cannot go on, or a loss that is no number any more."""


class StyleError(OnekError):
    """A picture that cannot be made in the style of another, or weights that make none."""


class SpreadError(OnekError):
    """Work cannot be done on other processes or machines: they are not there, or do not answer."""


class ServiceError(OnekError):
    """A service does not answer, or refuses: `code` and `status` are what it said, `request_id` what its log says."""

    def __init__(self, message: str, code: str = "unreachable", status: int = 0, request_id: str = "") -> None:
        super().__init__(message)
        self.code, self.status, self.request_id = code, status, request_id


class StorageError(OnekError):
    """Object storage does not answer, refuses, or cannot hold what was to be written there."""


class MetricsError(OnekError):
    """A metric that does not exist, or data that lack what it needs."""


class WrongType(OnekError, TypeError):
    """Something of another type than a call takes; names what was found. A `TypeError` too."""


class MissingPackage(OnekError):
    """Something was asked for that needs a package which is not installed."""


class OutputError(OnekError):
    """An output that exists already, cannot be written, or has an ending that no format goes with."""


def require_number(name: str, value: object, such_as: str = "0.01") -> None:
    """Raise `WrongType` unless a value is a real number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise WrongType(f"{name} is {value!r:.60} ({type(value).__name__}); expected a number such as {such_as}")


def require_whole(name: str, value: object) -> None:
    """Raise `WrongType` unless a value is a whole number."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise WrongType(f"{name} is {value!r:.60} ({type(value).__name__}); expected a whole number such as 5")


def require_text(name: str, value: object) -> None:
    """Raise `WrongType` unless a value is text."""
    if not isinstance(value, str):
        raise WrongType(f"{name} is {value!r:.60} ({type(value).__name__}); expected text")
