"""For which encoders grouping was measured, and for which it was found not to work."""

from engine.errors import GroupingError
from engine.templates.provenance import Provenance

# What `onek benchmark group` measured on LFW's development split.
_SUITED = ("sface",)
_UNSUITED = {"dlib-resnet": "25 % of its groups held two people where nothing was asked for, and 5 % where 1 % was"}


def doubt_about(made: Provenance) -> str | None:
    """What is to be said of grouping templates that were made so; None where nothing is.

    Raises:
        GroupingError: it was measured, and does not work.
    """
    if made.encoder in _UNSUITED:
        raise GroupingError(
            f"templates of {made.encoder} do not suit grouping: on LFW {_UNSUITED[made.encoder]}; "
            f"embed the photographs with --encoder {_SUITED[0]}"
        )
    if made.encoder in _SUITED and made.projection is None:
        return None
    suited = ", ".join(_SUITED)
    return f"grouping was measured for {suited}, not for templates by {made}; look at the groups before you name them"
