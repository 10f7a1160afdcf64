"""Coroutines run from synchronous code, whatever has been done to the process's event loops."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: As nest_asyncio does: `asyncio.run` takes the thread's loop, which a policy such as uvloop's refuses to make.
NESTED = """
class Policy(asyncio.DefaultEventLoopPolicy):
    def get_event_loop(self):
        raise RuntimeError("There is no current event loop")

def nested_run(main, **_):
    return asyncio.get_event_loop().run_until_complete(main)

asyncio.set_event_loop_policy(Policy())
asyncio.run = nested_run
"""

IMPORTS = """
import asyncio
from invoca_bulk.transport import run_sync
"""
PROGRAM = """
async def answer():
    await asyncio.sleep(0)
    return 42

print(run_sync.run(answer))
"""
IN_A_LOOP = """
async def main():
    print(run_sync.run(answer))

with asyncio.Runner() as runner:
    runner.run(main())
"""


@pytest.mark.parametrize("patch", ["", NESTED], ids=["plain", "nested"])
@pytest.mark.parametrize("more", ["", IN_A_LOOP], ids=["script", "running loop"])
def test_the_thread_makes_its_loop_itself(patch: str, more: str) -> None:
    """It needs no loop of the process, and does not meet one that is running."""
    code = IMPORTS + patch + PROGRAM + more
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (process.stdout.split(), process.stderr) == (["42"] * (1 + bool(more)), "")
