"""Plan + client + journal -> outcomes. The only concurrent stage.

Each slot takes the next step, has its intent made durable, sends it, and has its outcome made durable. A step that
makes another object with each request is sent once; one that may be repeated is sent again while it is in doubt.
"""

from __future__ import annotations

from invoca_bulk.execution.running import Ended, Execution, Tally
from invoca_bulk.execution.scribe import Scribe

__all__ = ["Ended", "Execution", "Scribe", "Tally"]
