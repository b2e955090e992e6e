"""For which encoders grouping was measured, and for which it was found not to work."""

from engine.templates.provenance import Provenance

# What `onek benchmark group` measured on LFW's development split.
_MEASURED = ("sface",)


def doubt_about(made: Provenance) -> str | None:
    """What is to be said of grouping templates that were made so; None where nothing is."""
    if made.encoder in _MEASURED and made.projection is None:
        return None
    return (
        f"grouping was measured for {', '.join(_MEASURED)}, not for templates by {made}; look at the groups before you name them"
    )
