"""The manual, from a notebook."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from invoca_bulk.api.arguments import public_function
from invoca_bulk.errors import ConfigError
from invoca_bulk.manual import Topic, read_topics


@public_function
def help(topic: str | None = None) -> Topic:  # noqa: A001  it is called as `ib.help`
    """Show a topic of the manual: formatted in a notebook, as text elsewhere.

    Args:
        topic: its name, such as `columns`. None: the list of all topics.

    Returns:
        The topic, with its `name`, its `text` (Markdown) and its one-sentence `summary`.

    Raises:
        UserError: there is no such topic; the message names the nearest one.

    Example:
        >>> ib.help("columns").summary
        'All columns that the program knows, and what a cell takes.'
    """
    topics = read_topics()
    if topic is None:
        return _overview(topics)
    if topic not in topics:
        nearest = difflib.get_close_matches(topic, topics, n=1)
        proposal = f' Did you mean ib.help("{nearest[0]}")?' if nearest else ""
        raise ConfigError(f"There is no topic {topic!r}.{proposal} ib.help() lists all topics.")
    return topics[topic]


def _overview(topics: Mapping[str, Topic]) -> Topic:
    lines = [f"- `{topic.name}`: {topic.summary}" for topic in topics.values()]
    return Topic("", "\n".join(["# Topics", "", *lines, "", 'Show one: `ib.help("columns")`']))
