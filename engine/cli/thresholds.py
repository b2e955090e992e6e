"""What the commands say of thresholds, and of what they were learnt from."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.calibration.summary import CalibrationInfo
    from engine.gallery.gallery import Gallery


def default_line(gallery: "Gallery") -> str:
    """The default threshold of a gallery in one line, or why it has none."""
    from engine.cli.shell.wording import in_options
    from engine.errors import GalleryError

    try:
        return str(gallery.threshold_used())
    except GalleryError as error:
        return in_options(str(error), {"threshold": "--threshold"})


def decides(gallery: "Gallery") -> dict[str, Any] | None:
    """The default threshold of a gallery as programs are told of it; None where it has none."""
    from engine.errors import GalleryError

    try:
        return asdict(gallery.threshold_used())
    except GalleryError:
        return None


def tell_default(gallery: "Gallery") -> None:
    """Say the default threshold of a gallery that was made."""
    from engine.cli.console import tell

    tell(default_line(gallery), decides=decides(gallery))


def tell_threshold(gallery: "Gallery", before: str) -> None:
    """Say the default threshold of a gallery that was changed, and in a line of its own what it was before, if it has changed."""
    from engine.cli.console import tell

    now = default_line(gallery)
    tell(now, decides=decides(gallery))
    if now.partition(":")[0] != before.partition(":")[0]:
        tell(f"that has changed; before: {before}", decided_before=before)


def print_calibration(info: "CalibrationInfo | None", score: str) -> None:
    """Thresholds for the usual rates, how sure they are, and whom they were learnt without."""
    from engine.cli.console import count, tell

    if info is None:
        tell("not calibrated: fewer than 10 identities say nothing of strangers", calibration=None)
        return
    who = "strangers given" if info.source == "strangers" else "enrolled people, each as if never enrolled"
    searches = count(info.searches, "search", "searches")
    tell(f"calibrated at {info.identities:,} identities by {searches} of {who}:", calibration=asdict(info))
    for rate in info.rates:
        how = "with the encoder's impostors"
        if rate.interval is not None:
            how = "sampled" if rate.from_sample else "fitted tail"
            how += f"; truly {rate.interval.low:.2g} to {rate.interval.high:.2g}"
        tell(f"  --fpir {rate.fpir:<6g} {score} score {rate.threshold:.4f}  ({how})")
    if info.left_out:
        pairs = count(len(info.left_out), "pair")
        nearest = min(pair.distance for pair in info.left_out)
        tell(
            f"left out: {pairs} that may be one person under two names, the nearest {nearest:.3f} apart; "
            "onek audit lists such pairs"
        )
