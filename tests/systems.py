"""Marks for the tests that cannot run on every operating system."""

from __future__ import annotations

import os
import sys

import pytest

posix_only = pytest.mark.skipif(
    os.name != "posix", reason="needs POSIX: file modes, links, pipes, sh, or signals between processes"
)
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: /proc, or file names of any bytes")
