"""Explanations as pictures."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

from engine.errors import OutputError
from engine.files.atomic_files import whole_file
from engine.files.escaping import shown
from engine.inspection.channels import Channel
from engine.inspection.occlusion import Explanation


def check_picture(path: Path) -> None:
    """Refuse, before any work, a name that is no picture's. Raises `OutputError`."""
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise OutputError(f"{path}: expected a name that ends in .png, .svg or .pdf")


def draw_explanation(found: Explanation, path: Path) -> None:
    """The probe, the enrolled chip beside it, and the probe under a map: what speaks for the candidate red, against blue."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11, 4.2))
    axes[0].imshow(found.chip)
    axes[0].set_title("probe")
    if found.enrolled is None:
        axes[1].text(0.5, 0.5, "the enrolled photograph\nis not there", ha="center", va="center")
    else:
        axes[1].imshow(found.enrolled)
    axes[1].set_title(shown(found.identity)[:40], parse_math=False)
    side, most = found.chip.shape[0], max(float(np.abs(found.pull).max()), 1e-6)
    axes[2].imshow(found.chip.mean(axis=2), cmap="gray")
    whole = (-0.5, side - 0.5, side - 0.5, -0.5)
    image = axes[2].imshow(found.pull, cmap="bwr", alpha=0.5, vmin=-most, vmax=most, extent=whole, interpolation="bilinear")
    axes[2].set_title("covered there, so much farther")
    figure.colorbar(image, ax=axes[2], fraction=0.046)
    for axis in axes:
        axis.set_axis_off()
    alarms = "" if found.expected_false_alarms is None else f"; expected false alarms {found.expected_false_alarms:.2g}"
    figure.suptitle(f"distance {found.distance:.4f}{alarms}")
    _save(figure, path)
    plt.close(figure)


def draw_channels(found: Sequence[Channel], chips: np.ndarray, path: Path) -> None:
    """A row for each channel, with the chips that excite it most."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    columns = len(found[0].rows)
    figure, axes = plt.subplots(len(found), columns, figsize=(1.1 * columns + 1.5, 1.1 * len(found)), squeeze=False)
    for line, channel in zip(axes, found, strict=True):
        for axis, row in zip(line, channel.rows, strict=True):
            axis.imshow(chips[row])
            axis.set_xticks([])
            axis.set_yticks([])
        line[0].set_ylabel(f"{channel.layer}\n{channel.channel}", rotation=0, ha="right", va="center", fontsize=7)
    figure.tight_layout()
    _save(figure, path)
    plt.close(figure)


def _save(figure: "mpl.figure.Figure", path: Path) -> None:
    with whole_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower())
