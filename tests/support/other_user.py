"""What is tried under a user who may not read and write everything, as root may."""

import os
import sys
import traceback
from collections.abc import Callable

import pytest

NOBODY = 65534


def as_no_root(do: Callable[[], None]) -> None:
    """Do it; where root runs the tests, in a child that has become somebody else. What fails there fails here.

    Whatever `do` imports must be loaded before: another user need not be able to read this Python's files.
    """
    if os.geteuid() != 0:
        do()
        return
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        failed = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            do()
            failed = 0
        except BaseException:
            os.write(theirs, traceback.format_exc()[-8000:].encode())
        finally:
            sys.stdout.flush()
            os._exit(failed)
    os.close(theirs)
    with os.fdopen(ours) as said:
        told = said.read()
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        pytest.fail(told)
