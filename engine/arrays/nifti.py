"""NIfTI files, by nibabel: their header is read first, and no more of the file than it accounts for."""

import logging
import math
from typing import Protocol

import numpy as np

from engine.arrays.sampled import Sampled, damaged, refuse_huge
from engine.errors import ImageProblem

# The first version's mark lies at this place, the second's behind the first four bytes.
MARKS_AT = 344
MARKS = (b"n+1\0", b"n+2\0")
_FIRST, _SECOND = 348, 540
# nibabel's own logger writes what it mends of a header on the user's terminal.
_QUIET = logging.getLogger(__name__)
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False
# Of what lies between the header and the voxels, at most.
_MOST_BETWEEN = 1 << 24
_MILLIMETRES = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}


class Readable(Protocol):
    """A file, or what is unpacked of one."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most so many."""


def read_nifti(stream: Readable) -> Sampled:
    """The voxels of a NIfTI file, `.nii` or what is in a `.nii.gz`, and their spacing. Raises `ImageProblem`."""
    try:
        from nibabel import Nifti1Header, Nifti2Header
        from nibabel.volumeutils import apply_read_scaling
    except ImportError as error:
        raise ImageProblem("a NIfTI file, which nibabel reads; pip install 'onek[volumes]'") from error

    head = stream.read(_SECOND)
    second = head[4:8] in MARKS
    if len(head) < (_SECOND if second else _FIRST) or (not second and head[MARKS_AT:][:4] not in MARKS):
        raise ImageProblem("no NIfTI file, or cut short in its header")
    try:
        header = Nifti2Header(head, check=False) if second else Nifti1Header(head[:_FIRST], check=False)
        zooms = [abs(float(each)) for each in header.get_zooms()[:3]]  # as they are said: mended, 0 is 1 mm
        header.check_fix(_QUIET)
        shape, kind = tuple(map(int, header.get_data_shape())), header.get_data_dtype()
        slope, intercept = header.get_slope_inter()
        at = int(header.get_data_offset())
        scale = _MILLIMETRES.get(header.get_xyzt_units()[0], 1.0)
    except Exception as error:  # nibabel raises whatever it trips over in damaged bytes
        raise damaged("NIfTI", error) from error
    if kind.kind not in "iuf" or kind.hasobject:
        raise ImageProblem(f"voxels of {str(kind)[:40]}; expected real numbers")
    count = math.prod(shape)
    refuse_huge(count, max(4, kind.itemsize))
    if not (_SECOND if second else _FIRST) <= at <= _MOST_BETWEEN or min(shape, default=0) < 1:
        raise ImageProblem(f"the NIfTI file is damaged: {at:,} bytes before its voxels, of shape {shape}")
    stream.read(max(0, at - len(head)))
    held = head[at:]
    data = held + stream.read(count * kind.itemsize - len(held))
    if len(data) < count * kind.itemsize:
        raise ImageProblem(f"the file is truncated: it says {count:,} voxels, and holds fewer")
    values = apply_read_scaling(np.frombuffer(data, kind, count).reshape(shape, order="F"), slope, intercept)
    spacing = tuple(each * scale for each in zooms)
    usable = len(spacing) == 3 and all(0 < each < math.inf for each in spacing)
    return Sampled(_without_ones(values), spacing=spacing if usable else None)


def _without_ones(values: np.ndarray) -> np.ndarray:
    """The same without axes of one voxel behind the third: scanners write a single time so."""
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    return values
