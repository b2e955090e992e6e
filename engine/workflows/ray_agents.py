"""The agents of a Ray that was started here: when this process is killed they wait a minute for a server that went with it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

# Waits until the process that started it is gone, then ends what is named by process id and time of start.
_WATCH = """
import sys, psutil
sys.stdin.read()
for said in sys.argv[1:]:
    pid, start = said.split("@")
    try:
        process = psutil.Process(int(pid))
        if f"{process.create_time():.2f}" == start:
            process.kill()
    except psutil.Error:
        pass
"""


@contextmanager
def agents_that_end_with_us() -> Iterator[None]:
    """While the block lasts, the agents of a Ray that this process started end with this process, however it ends."""
    raylets = [each for each in psutil.Process().children(recursive=True) if each.name() == "raylet"]
    agents = [agent for raylet in raylets for agent in raylet.children()]
    named = [f"{agent.pid}@{agent.create_time():.2f}" for agent in agents]
    command = [sys.executable, "-I", "-c", _WATCH, *named]
    # A session of its own: Ctrl-C is for us. It knows that we are gone when nobody can write to it any more.
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True):
        yield
