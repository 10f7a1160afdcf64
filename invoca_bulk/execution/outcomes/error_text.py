"""The platform's error messages, with the sheet's column titles."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from invoca_bulk.schema import ADVERTISERS, SUBRESOURCE_KEY, Resource, paths, payloads
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import truncate
from invoca_bulk.transport.client import Response


def describe_error_response(response: Response, column_titles: Mapping[str, str], sent_body: Json = None) -> str:
    """The platform's error message as one text: field errors by column title, and the error handle for support.

    In `column_titles`, `#` stands for the number of a user or a site; a number in a path refers to the body that was
    sent.
    """
    # The text is shown in terminals, which interpret control characters.
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", _reason(response, column_titles, sent_body))


def _reason(response: Response, column_titles: Mapping[str, str], sent_body: Json) -> str:
    body = response.body if isinstance(response.body, dict) else {}
    errors: Json = body.get("errors") or body.get("error") or {}
    if error_class := error_class_of(response.body):
        return f"{errors.get('invalid_data', '')} ({error_class}, {response.status})".strip()
    if isinstance(errors, dict) and errors:
        field_errors = payloads.flatten_errors(errors).items()
        texts = [f"{_field_label(path, column_titles, sent_body)}: {text}" for path, text in field_errors]
        return truncate("; ".join(texts), 1000)
    if message := errors or body.get("message"):
        text = "; ".join(map(str, message)) if isinstance(message, list) else str(message)
        return f"{truncate(text, 500)} ({response.status})"
    if reason := response.text or (json.dumps(response.body, ensure_ascii=False) if response.body else ""):
        return f"{truncate(reason, 300)} ({response.status})"
    return f"the platform answered {response.status} without a reason"


def error_class_of(body: Json) -> str:
    """The class that an error answer names, such as `RecordNotFound`; empty: none."""
    errors = (body.get("errors") or body.get("error")) if isinstance(body, dict) else None
    return str(errors.get("class") or "") if isinstance(errors, dict) else ""


def _field_label(path: str, column_titles: Mapping[str, str], sent_body: Json) -> str:
    """A field's title, with the id of its user or site; without a title, the field and the user or site that has it."""
    located = _locate_part(path, sent_body)
    if located is None:
        return column_titles.get(path) or column_titles.get(paths.to_pattern(path), path)
    part, number, record, field_path = located
    own_id = str(record.get(SUBRESOURCE_KEY) or "")
    numbered = f"{part.name}.{number}.{field_path}"
    column = ADVERTISERS.column_for(numbered)  # the platform may use another name than the table
    known = column.path if column else numbered
    title = column_titles.get(known) or column_titles.get(paths.to_pattern(known))
    if title:
        return f"{title} ({own_id})" if own_id else title
    return f"{field_path} of {part.singular} {own_id}" if own_id else path


def _locate_part(path: str, sent_body: Json) -> tuple[Resource, int, Mapping[str, Json], str] | None:
    """The user or site of a path, its number in the body, and the path within it; None: it leads into none.

    The platform names it by its position, or by its id.
    """
    for part in ADVERTISERS.subresources if isinstance(sent_body, dict) else ():
        records = sent_body.get(part.name)
        for number, record in enumerate(records if isinstance(records, list) else (), 1):
            if not isinstance(record, dict):
                continue
            for key in (number, record.get(SUBRESOURCE_KEY)):
                prefix = f"{part.name}.{key}."
                if key and path.startswith(prefix):
                    return part, number, record, path.removeprefix(prefix)
    return None
