"""What another library warns of while it reads for us, and the filters of the process, which stay the caller's."""

import threading
import warnings

import pytest

from engine.faces.unwarned import unwarned


def warn_as(module: str) -> None:
    warnings.warn_explicit("mind this", UserWarning, "f.py", 1, module=module)


@pytest.mark.filterwarnings("error")
def test_one_library_is_not_heard_while_the_block_lasts() -> None:
    before = list(warnings.filters)
    with unwarned(r"PIL\."):
        warn_as("PIL.TiffImagePlugin")
        with pytest.raises(UserWarning):
            warn_as("theirs")
    assert list(warnings.filters) == before
    with pytest.raises(UserWarning):
        warn_as("PIL.TiffImagePlugin")


@pytest.mark.filterwarnings("error")
def test_threads_that_overlap_leave_nothing() -> None:
    before = list(warnings.filters)
    inside, leave = threading.Barrier(3), threading.Event()

    def read() -> None:
        with unwarned(r"PIL\."):
            inside.wait(30)
            leave.wait(30)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait(30)
    assert len(warnings.filters) == len(before) + 1
    with unwarned(r"PIL\."), unwarned(r"scipy\."):
        assert len(warnings.filters) == len(before) + 2
    warn_as("PIL.Image")
    leave.set()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_a_callers_filters_that_come_and_go_meanwhile_are_left() -> None:
    before = list(warnings.filters)
    reading = unwarned(r"PIL\.")
    with warnings.catch_warnings():
        with unwarned("other"):
            pass
        reading.__enter__()
    reading.__exit__(None, None, None)
    assert list(warnings.filters) == before
    reading = unwarned(r"PIL\.")
    reading.__enter__()
    with warnings.catch_warnings():
        reading.__exit__(None, None, None)
        assert list(warnings.filters) == before
    assert list(warnings.filters) == before
