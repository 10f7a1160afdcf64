"""Save a plan to a file and read it again.

The steps in the file are never run: its sheet is planned anew, and the two plans must agree. A file that was edited is
therefore rejected at worst. It has no token.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from invoca_bulk.config.options import NESTED_MODES, PLAN_OPTION_NAMES, PlanOptions
from invoca_bulk.errors import OutputError, PlanError
from invoca_bulk.planning import PlannedRow, SavedPlan, Step, step_to_dict
from invoca_bulk.reports import files
from invoca_bulk.schema import RESOURCES, SHEET_RESOURCES, Action
from invoca_bulk.schema.field_types import Json
from invoca_bulk.sheets import Sheet
from invoca_bulk.sheets.row_labels import RowLabels, from_stored, to_stored_label, to_stored_names
from invoca_bulk.wording import plural_of, setting

#: The key that identifies the file, and the version of its format; increased whenever the format changes.
FORMAT_KEY, FORMAT_VERSION = "invoca_bulk_plan", 2
FILE_EXTENSION = ".json"
#: Options and arguments that a saved plan fixes.
FIXED_OPTIONS = (*PLAN_OPTION_NAMES, "sheet", "resource", "encoding")

#: The start of a JSON object; no sheet starts like this.
_JSON_OBJECT_START = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*["}]')
_PEEK_BYTES = 4096

#: Attribute of a step or row to its key in the file, where the two differ.
_STORED_NAMES = {"non_idempotent": "once", "depends_on": "needs", "snapshot": "before", "object_label": "about"}
_ATTRIBUTES = {stored: attribute for attribute, stored in _STORED_NAMES.items()}

#: Attributes of a saved plan that are stored as they are.
_TEXT_ATTRIBUTES = ("base_url", "network_id", "api_version", "source", "made_at")

_NONE_TYPE = type(None)
#: The schema of the file: a type, `[schema]` for a list of any length, `(schema, schema)` for alternatives, a dict for
#: an object with exactly these keys, a frozenset for one of these texts. With the schema `dict`, any object matches.
_STEP_SCHEMA = {
    "number": int,
    "resource": frozenset(RESOURCES),
    "action": frozenset(Action),
    "verb": str,
    "path": [str],
    "body": (dict, _NONE_TYPE),
    "own_id": str,
    "once": bool,
    "phase": int,
    "needs": (int, _NONE_TYPE),
    "patch": (dict, _NONE_TYPE),
    "before": (dict, _NONE_TYPE),
    "destination": [str],
    "identity": str,
}
_ROW_SCHEMA = {"sheet": int, "row": int, "action": str, "about": str, "step": (int, _NONE_TYPE)}
_SHEET_SCHEMA = {"name": str, "resource": frozenset(SHEET_RESOURCES), "headers": [str], "rows": [int], "cells": [[str]]}
_CHOICES_SCHEMA = {"nested": frozenset(NESTED_MODES), "allow_removals": bool, "auto_ids": bool}
_READING_SCHEMA = {"sheet": (str, _NONE_TYPE), "resource": (str, _NONE_TYPE)}
_LABEL_TYPES = (str, int, float, bool, _NONE_TYPE)
#: Of a sheet that was a DataFrame: its index. Each label is a list of one value for each level; a list is a tuple.
_INDEX_SCHEMA = {
    "names": [(str, _NONE_TYPE)],
    "columns": [str],
    "labels": [[(*_LABEL_TYPES, [_LABEL_TYPES])]],
}
_FILE_SCHEMA = {
    FORMAT_KEY: int,
    **dict.fromkeys(_TEXT_ATTRIBUTES, str),
    # Plans of version 0.2.0 have neither `allow_unlisted` and `allow_no_sites` nor `encoding`.
    "choices": ({**_CHOICES_SCHEMA, "allow_unlisted": bool, "allow_no_sites": bool}, _CHOICES_SCHEMA),
    "reading": (_READING_SCHEMA, _READING_SCHEMA | {"encoding": (str, _NONE_TYPE)}),
    "path": (str, _NONE_TYPE),
    "sheets": [(_SHEET_SCHEMA, _SHEET_SCHEMA | {"index": _INDEX_SCHEMA})],
    "rows": [_ROW_SCHEMA],
    "steps": [_STEP_SCHEMA],
}


def reject_plan_options(given: Iterable[str]) -> None:
    """Reject options and arguments that a saved plan fixes, and that were passed along with it."""
    passed = set(given)
    if names := [name for name in FIXED_OPTIONS if name in passed]:
        options = ", ".join(str(setting(name)) for name in names)
        again = f"Plan again with {plural_of(len(names), 'it', 'them')}."
        raise PlanError(f"A saved plan has its own options, so it cannot take {options}. {again}")


def check_plan_path(path: str | Path) -> Path:
    """The path, which has to end in `.json`."""
    target = Path(path)
    if target.suffix.lower() != FILE_EXTENSION:
        raise OutputError(f"{target.name!r} does not end in {FILE_EXTENSION}. Add this ending.")
    return target


def write_saved_plan(saved_plan: SavedPlan, path: str | Path) -> Path:
    """Write a plan to a new file that only the user can read: the path, or the first unused name (`plan-2.json`)."""
    # ASCII, since a cell may hold a lone surrogate, which UTF-8 cannot encode.
    content = json.dumps(_to_json(saved_plan)).encode("ascii")

    def write(stream: BinaryIO) -> None:
        stream.write(content)

    return files.write_file(files.unused_path(check_plan_path(path)), write)


def _to_json(saved_plan: SavedPlan) -> dict[str, Json]:
    return {
        FORMAT_KEY: FORMAT_VERSION,
        **{name: getattr(saved_plan, name) for name in _TEXT_ATTRIBUTES},
        "choices": asdict(saved_plan.choices),
        "reading": dict(saved_plan.read_arguments),
        "path": str(saved_plan.path) if saved_plan.path else None,
        "sheets": [_sheet_to_dict(sheet) for sheet in saved_plan.sheets],
        "rows": [{name: getattr(row, _ATTRIBUTES.get(name, name)) for name in _ROW_SCHEMA} for row in saved_plan.rows],
        "steps": [
            {_STORED_NAMES.get(name, name): value for name, value in step_to_dict(step).items()}
            for step in saved_plan.steps
        ],
    }


def _sheet_to_dict(sheet: Sheet) -> dict[str, Json]:
    frame, labels = sheet.frame, sheet.own_labels
    return {
        **({"index": _index_to_dict(labels.select(frame.index), labels.columns)} if labels else {}),
        "name": sheet.name,
        "resource": sheet.resource.name,
        "headers": list(frame.columns),
        "rows": [int(row) for row in frame.index],
        "cells": [list(cells) for cells in zip(*(frame[header] for header in frame.columns), strict=True)],
    }


def _index_to_dict(index: pd.Index, columns: Sequence[str]) -> dict[str, Json]:
    labels = [stored if index.nlevels > 1 else [stored] for stored in map(to_stored_label, index)]
    return {"names": list(to_stored_names(index)), "columns": list(columns), "labels": labels}


def read_if_saved_plan(source: object) -> SavedPlan | None:
    """The saved plan at a path, recognized by its content; None if it is something else, such as a sheet.

    A file that starts like a JSON object but is no valid saved plan is an error.
    """
    if isinstance(source, str | os.PathLike) and _is_json_object(path := Path(os.fsdecode(source))):
        return read_saved_plan(path)
    return None


def _is_json_object(path: Path) -> bool:
    try:
        if not path.is_file():  # reading a pipe would block
            return False
        with path.open("rb") as file:
            return bool(_JSON_OBJECT_START.match(file.read(_PEEK_BYTES)))
    except (OSError, ValueError):
        return False


def read_saved_plan(path: str | Path) -> SavedPlan:
    """Read a saved plan."""
    name = Path(path).name
    try:
        content = json.loads(Path(path).read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise PlanError(f"{name} cannot be read ({error.strerror}). Check its name and its permissions.") from None
    except (ValueError, RecursionError):
        raise PlanError(f"{name} is damaged: it is not a complete saved plan. Plan again and save it.") from None
    if not isinstance(content, dict) or FORMAT_KEY not in content:
        raise PlanError(f"{name} is neither a sheet nor a saved plan. Use a file that a plan was saved to.")
    if content[FORMAT_KEY] != FORMAT_VERSION:
        raise PlanError(f"{name} was saved by another version of this program. Plan again and save it.")
    if _matches_schema(content, _FILE_SCHEMA):
        with contextlib.suppress(ValueError, OverflowError):
            return _parse_saved_plan(content)
    raise PlanError(f"{name} has been edited and is not a valid saved plan any more. Plan again and save it.")


def _matches_schema(value: Json, schema: Any) -> bool:  # noqa: ANN401  see `_STEP_SCHEMA`
    if isinstance(schema, dict):
        return (
            isinstance(value, dict)
            and value.keys() == schema.keys()
            and all(_matches_schema(value[key], schema[key]) for key in schema)
        )
    if isinstance(schema, list):
        return isinstance(value, list) and all(_matches_schema(item, schema[0]) for item in value)
    if isinstance(schema, tuple):
        return any(_matches_schema(value, alternative) for alternative in schema)
    if isinstance(schema, frozenset):
        return isinstance(value, str) and value in schema
    return type(value) is schema  # not isinstance: a bool is not an int here


def _parse_saved_plan(content: Mapping[str, Any]) -> SavedPlan:
    """The saved plan of a file that matches the schema; a ValueError if its values are inconsistent."""
    path = content["path"] and Path(content["path"])
    resources = [sheet["resource"] for sheet in content["sheets"]]
    if not resources or len(set(resources)) < len(resources) or (path and "\0" in content["path"]):
        raise ValueError
    return SavedPlan(
        **{name: content[name] for name in _TEXT_ATTRIBUTES},
        choices=PlanOptions(**content["choices"]),
        read_arguments=content["reading"],
        path=path,
        sheets=tuple(_parse_sheet(sheet, content["source"], path) for sheet in content["sheets"]),
        rows=tuple(_parse_row(row, len(content["sheets"]), len(content["steps"])) for row in content["rows"]),
        steps=tuple(_parse_step(step) for step in content["steps"]),
    )


def _parse_sheet(values: Mapping[str, Any], source: str, path: Path | None) -> Sheet:
    headers, rows, cells = values["headers"], values["rows"], values["cells"]
    is_consistent = len(set(headers)) == len(headers) and len(set(rows)) == len(rows) == len(cells)
    if not is_consistent or any(len(texts) != len(headers) for texts in cells):
        raise ValueError
    columns = {header: [texts[column] for texts in cells] for column, header in enumerate(headers)}
    frame = pd.DataFrame(columns, index=pd.Index(rows, dtype="int64", name="row"), dtype=str)
    return Sheet(
        frame=frame,
        resource=SHEET_RESOURCES[values["resource"]],
        source=source,
        path=path,
        read_issues=(),
        name=values["name"],
        own_labels=_parse_index(values["index"], frame) if "index" in values else None,
    )


def _parse_index(values: Mapping[str, Any], frame: pd.DataFrame) -> RowLabels:
    """The labels of the rows of a sheet that was a DataFrame."""
    names, labels, columns = values["names"], values["labels"], values["columns"]
    is_consistent = names and len(labels) == len(frame) and set(columns) <= set(frame.columns)
    if not is_consistent or any(len(label) != len(names) for label in labels):
        raise ValueError
    stored = labels if len(names) > 1 else [label for (label,) in labels]
    return RowLabels(numbers=frame.index, index=from_stored(stored, names), columns=tuple(columns))


def _parse_row(values: Mapping[str, Any], sheet_count: int, step_count: int) -> PlannedRow:
    if not (0 <= values["sheet"] < sheet_count and (values["step"] is None or 0 <= values["step"] < step_count)):
        raise ValueError
    return PlannedRow(cells=(), **_to_attributes(values))


def _parse_step(values: dict[str, Any]) -> Step:
    tuples = {name: tuple(values[name]) for name in ("path", "destination")}
    return Step(**_to_attributes(values | tuples | {"action": Action(values["action"])}))


def _to_attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    return {_ATTRIBUTES.get(name, name): value for name, value in values.items()}
