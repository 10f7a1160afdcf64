"""Renders the manual and the explanations of issue codes as HTML; HTML in their text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

import mistune

from invoca_bulk.manual import Topic
from invoca_bulk.reports.explanation import explain

#: Region to the topic that says more about it.
TOPIC_BY_REGION = {
    "connect": "sandbox",
    "sheet": "sheets",
    "issues": "issues",
    "plan": "plans",
    "results": "outcomes",
    "runs": "recovery",
}
_HELP_COMMAND = "invoca-bulk help "


class _TopicRenderer(mistune.HTMLRenderer):
    """Topics that a text names are links, and the headings are those below the page's own."""

    def __init__(self, topic_names: Iterable[str]) -> None:
        super().__init__(escape=True)
        self._topic_names = frozenset(topic_names)

    def codespan(self, text: str) -> str:
        name = text.removeprefix(_HELP_COMMAND)
        return topic_link(name) if name != text and name in self._topic_names else super().codespan(text)

    def heading(self, text: str, level: int, **attrs: object) -> str:
        return super().heading(text, min(level + 2, 6), **attrs)


def topic_link(name: str) -> str:
    """A button that shows a topic."""
    return f'<button type="button" class="link" data-do="help" data-topic="{escape(name)}">{escape(name)}</button>'


def region_link(region: str) -> str:
    """The link from a region to the topic that says more about it."""
    return f'<p class="hint">More: {topic_link(TOPIC_BY_REGION[region])}</p>'


def render_help(topics: Mapping[str, Topic], shown: str = "") -> str:
    """The list of topics, below the text of one if `shown` names it."""
    items = "".join(f"<li>{topic_link(name)}: {_plain_summary(topic)}</li>" for name, topic in topics.items())
    topic_list = f"<details{'' if shown in topics else ' open'}><summary>All topics</summary><ul>{items}</ul></details>"
    text = _render_topic(topics[shown], topics) if shown in topics else ""
    return f"<h2>Help</h2>{topic_list}{text}"


def _plain_summary(topic: Topic) -> str:
    return escape(topic.summary.replace("`", ""))


def _render_topic(topic: Topic, names: Iterable[str]) -> str:
    to_html = mistune.create_markdown(renderer=_TopicRenderer(names), plugins=["table"])
    return f'<article class="topic">{to_html(topic.text)}</article>'


def render_explanations(codes: Iterable[str]) -> str:
    """What each of the codes of issues means, closed until it is opened."""
    explanations = "".join(
        f"<li><details><summary>{escape(code)}</summary><pre>{escape(explain(code))}</pre></details></li>"
        for code in codes
    )
    heading = "What these issues mean, with examples of wrong and right cells"
    return f"<details><summary>{heading}</summary><ul>{explanations}</ul></details>" if explanations else ""
