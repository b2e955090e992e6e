"""The command `onek doctor`: what this machine has, in one screen, without anybody's paths or names."""

import time
from collections.abc import Callable
from typing import Any

# What decides how fast and how right things are; of others nobody asks.
_PACKAGES = (
    "numpy",
    "pyarrow",
    "faiss-cpu",
    "opencv-python-headless",
    "openvino",
    "tensorflow",
    "keras",
    "onnx",
    "typer",
    "rich",
)
# They write over each other's files: one of them may be installed.
_OPENCVS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
_FEATURES = ("AVX2", "AVX512F", "AVX512_SPR", "F16C", "FMA3", "ASIMD", "SVE")
# Chips of the measurement: a few, after one batch that warms up.
_CHIPS = 16
_GIB = 1 << 30


def doctor_command() -> None:
    """Say what onek finds on this machine.

    For a report of a defect: versions, processor, speed of networks, threads, memory, disk, locale, extras. No paths, no names.
    """
    from engine.cli.console import answer, columns

    found = {name: look() for name, look in _LOOKS.items()}
    for line in columns([(name, _line(value)) for name, value in found.items()]):
        answer(line, **found)


def _line(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {'-' if each is None else each}" for name, each in value.items()) or "-"
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _versions() -> dict[str, str | None]:
    return {name: _version(name) for name in _PACKAGES}


def _system() -> str:
    import platform

    return f"{platform.system()} {platform.release()} {platform.machine()}"


def _python() -> str:
    import platform

    return f"{platform.python_implementation()} {platform.python_version()}"


def _processor() -> list[str]:
    """Instruction sets that NumPy found."""
    import numpy as np

    core: Any = getattr(np, "_core", None) or np.core  # what NumPy 1 calls it
    known = core._multiarray_umath.__cpu_features__
    return [name for name in _FEATURES if known.get(name)]


def _cores() -> dict[str, int]:
    import os

    import faiss

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0
    return {"cores": os.cpu_count() or 0, "allowed": allowed, "search threads": faiss.omp_get_max_threads()}


def _memory() -> dict[str, str]:
    import psutil

    memory = psutil.virtual_memory()
    return {"GiB": f"{memory.total / _GIB:.1f}", "free": f"{memory.available / _GIB:.1f}"}


def _disk() -> dict[str, str]:
    import shutil

    return {"GiB free here": f"{shutil.disk_usage('.').free / _GIB:.1f}"}


def _locale() -> dict[str, str]:
    import locale
    import sys

    return {"encoding": locale.getpreferredencoding(False), "terminal": sys.stdout.encoding or "none"}


def _opencvs() -> list[str]:
    return [f"{name} {found}" for name in _OPENCVS if (found := _version(name))]


def _networks() -> dict[str, str]:
    """What runs each network, the default one for one photograph and for many, and how fast that is here."""
    from engine.cli.console import err
    from engine.encoders import DEFAULT
    from engine.encoders.registry import CARDS
    from engine.errors import EncoderError

    told = {}
    wanted = [(DEFAULT, 1), (DEFAULT, 1000), *((card.name, 1000) for card in CARDS if card.name != DEFAULT)]
    for name, photographs in wanted:
        called = f"{name} for {photographs:,}" if name == DEFAULT else name
        err.print(f"timing {called}")
        try:
            told[called] = _speed(name, photographs)
        except EncoderError:
            told[called] = "its weights are not here"
    return told


def _speed(name: str, photographs: int) -> str:
    import numpy as np

    from engine.encoders import load_encoder

    encoder = load_encoder(name, photographs=photographs)
    size = encoder.card.chip.size
    chips = np.random.default_rng(0).integers(0, 256, (_CHIPS, size, size, 3), np.uint8)
    encoder.encode(chips)
    began = time.perf_counter()
    encoder.encode(chips)
    rate = _CHIPS / (time.perf_counter() - began)
    by = encoder.provenance("").runtime
    return f"{by}: {rate:,.0f} faces/s" if by else f"{rate:,.0f} faces/s"


def _missing() -> dict[str, str]:
    """Of each extra that is not whole here what is missing."""
    import re
    from importlib.metadata import requires

    missing: dict[str, list[str]] = {}
    for each in requires("onek") or []:
        package, extra = re.match(r"[\w.-]+", each), re.search(r"extra == ['\"](\w+)['\"]", each)
        if package and extra and extra[1] not in ("dev", "docs") and _version(package[0]) is None:
            missing.setdefault(extra[1], []).append(package[0])
    return {extra: "lacks " + " ".join(packages) for extra, packages in missing.items()}


_LOOKS: dict[str, Callable[[], Any]] = {
    "onek": lambda: _version("onek"),
    "python": _python,
    "system": _system,
    "versions": _versions,
    "processor": _processor,
    "threads": _cores,
    "memory": _memory,
    "disk": _disk,
    "locale": _locale,
    "opencv": _opencvs,
    "networks": _networks,
    "extras": _missing,
}
