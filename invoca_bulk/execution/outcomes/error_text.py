"""The platform's reasons, in the words of the sheet."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from invoca_bulk.schema import PART_KEY, paths, payloads
from invoca_bulk.schema.issue_catalog import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.transport.client import Answer


def explained(answer: Answer, titles: Mapping[str, str], body: Json = None) -> str:
    """The platform's reason in one text: field errors by column title, an error handle kept for support.

    Args:
        answer: the platform's answer.
        titles: path to the sheet's column title; `#` stands for the number of a user or a site.
        body: what was sent, to tell which user or site a number in a path means.
    """
    # What stands there is shown in terminals, which obey control characters.
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", _reason(answer, titles, body))


def _reason(answer: Answer, titles: Mapping[str, str], body: Json) -> str:
    told = answer.body if isinstance(answer.body, dict) else {}
    errors = told.get("errors")
    if isinstance(errors, dict) and "class" in errors:
        return f"{errors.get('invalid_data', '')} ({errors['class']}, {answer.status})".strip()
    if isinstance(errors, dict) and errors:
        texts = payloads.field_errors(errors).items()
        return shortened("; ".join(f"{_label(path, titles, body)}: {text}" for path, text in texts), 1000)
    if message := told.get("message"):
        return f"{shortened(str(message), 500)} ({answer.status})"
    if reason := answer.text or (json.dumps(answer.body, ensure_ascii=False) if answer.body else ""):
        return f"{shortened(reason, 300)} ({answer.status})"
    return f"the platform answered {answer.status} without a reason"


def _label(path: str, titles: Mapping[str, str], body: Json) -> str:
    """A field's title, with the id of its user or site: of merged sets the numbers are not those of the sheet."""
    title = titles.get(path) or titles.get(paths.pattern(path), path)
    name, _, rest = path.partition(".")
    number = rest.partition(".")[0]
    parts = body.get(name) if isinstance(body, dict) else None
    if not isinstance(parts, list) or not number.isdecimal() or not 0 < int(number) <= len(parts):
        return title
    part = parts[int(number) - 1]
    return f"{title} ({part[PART_KEY]})" if isinstance(part, dict) and part.get(PART_KEY) else title
