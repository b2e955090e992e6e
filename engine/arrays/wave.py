"""WAV files, by SciPy."""

import io
import os
import warnings
from typing import IO

import numpy as np

from engine.arrays.sampled import MOST_BYTES, Sampled, damaged, refuse_huge
from engine.errors import ImageProblem

# SciPy warns of each block of a file that it does not know, on the user's terminal.
warnings.filterwarnings("ignore", module=r"scipy\.io\.wavfile")


def read_wave(stream: IO[bytes]) -> Sampled:
    """The samples of a WAV file, of whole numbers as shares of the largest, and its rate. Raises `ImageProblem`."""
    from scipy.io import wavfile  # late: most files are none

    size = stream.seek(0, os.SEEK_END)
    if size > MOST_BYTES:
        raise ImageProblem(f"a WAV file of {size:,} bytes; at most {MOST_BYTES:,} are read of a file")
    stream.seek(0)
    try:
        # Out of memory, so that no more is asked for than there is, whatever the header says.
        rate, samples = wavfile.read(io.BytesIO(stream.read()))
    except MemoryError:
        raise
    except Exception as error:  # SciPy raises whatever it trips over in damaged bytes
        raise damaged("WAV", error) from error
    if not rate > 0 or not samples.size:
        raise ImageProblem(f"a WAV file of {samples.size} samples, {rate} a second; expected some")
    refuse_huge(samples.size, 4)
    return Sampled(_shares(samples), float(rate))


def _shares(samples: np.ndarray) -> np.ndarray:
    """Whole numbers as float32, -1 to 1: bytes have their zero in the middle, the others at 0."""
    if samples.dtype.kind == "f":
        return samples
    largest = np.float32(2 ** (8 * samples.itemsize - 1))
    middle = largest if samples.dtype.kind == "u" else np.float32(0)
    return (samples.astype(np.float32) - middle) / largest
