"""The manual: one Markdown file a topic, shipped with the package and shown by every door."""

from __future__ import annotations

from invoca_bulk.manual.topics import Topic, read_topics

__all__ = ["Topic", "read_topics"]
