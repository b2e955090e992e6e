"""WAV files, by SciPy."""

import io
import os
from typing import IO, Literal

import numpy as np

from engine.arrays.sampled import MOST_BYTES, Sampled, damaged, refuse_huge
from engine.errors import ImageProblem
from engine.faces.unwarned import unwarned

# It warns of each block of a file that it does not know.
_SCIPY = r"scipy\.io\.wavfile"
# A program that writes to a pipe does not know how long the file will be, and says 0, or as much as it can.
_UNKNOWN = 0x7FFF0000


def read_wave(stream: IO[bytes]) -> Sampled:
    """The samples of a WAV file, of whole numbers as shares of the largest, and its rate. Raises `ImageProblem`."""
    from scipy.io import wavfile  # late: most files are none

    size = stream.seek(0, os.SEEK_END)
    if size > MOST_BYTES:
        raise ImageProblem(f"a WAV file of {size:,} bytes; at most {MOST_BYTES:,} are read of a file")
    stream.seek(0)
    try:
        # Out of memory, so that no more is asked for than there is, whatever the header says.
        with unwarned(_SCIPY):
            rate, samples = wavfile.read(io.BytesIO(_whole(bytearray(stream.read()))))
    except (ImageProblem, MemoryError):
        raise
    except UnboundLocalError as error:  # SciPy's, where a part that it needs never came
        raise ImageProblem("the WAV file is damaged: it lacks the part that says its format, or its samples") from error
    except Exception as error:  # SciPy raises whatever it trips over in damaged bytes
        raise damaged("WAV", error) from error
    if not rate > 0 or not samples.size:
        raise ImageProblem(f"a WAV file of {samples.size} samples, {rate} a second; expected some")
    refuse_huge(samples.size, 4)
    return Sampled(_shares(samples), float(rate))


def _whole(data: bytearray) -> bytearray:
    """The same with the size in its header that it has. Raises `ImageProblem` where it is shorter: SciPy reads what is left."""
    order: Literal["big", "little"] = "big" if data.startswith(b"RIFX") else "little"
    said = int.from_bytes(data[4:8], order)
    if data.startswith(b"RIFF") and (said == 0 or said >= _UNKNOWN):
        data[4:8] = (len(data) - 8).to_bytes(4, order)
    elif not data.startswith(b"RF64") and said + 8 > len(data) + 1:  # the last byte may only fill it up
        raise ImageProblem(f"the file is truncated: it says {said + 8:,} bytes, and holds {len(data):,}")
    return data


def _shares(samples: np.ndarray) -> np.ndarray:
    """Whole numbers as float32, -1 to 1: bytes have their zero in the middle, the others at 0."""
    if samples.dtype.kind == "f":
        return samples
    largest = np.float32(2 ** (8 * samples.itemsize - 1))
    middle = largest if samples.dtype.kind == "u" else np.float32(0)
    return (samples.astype(np.float32) - middle) / largest
