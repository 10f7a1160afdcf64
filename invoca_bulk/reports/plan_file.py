"""A plan as a file: kept to be looked at, and run later if it is still what would be done.

What is run is never the file's own steps: the sheet in it is planned anew, and the two have to agree. So a file that
was changed by hand can at worst be refused. There is no token in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from invoca_bulk.config.options import NESTED_MODES, PlanOptions
from invoca_bulk.errors import OutputError, PlanError
from invoca_bulk.planning import PlannedRow, SavedPlan, Step, step_to_dict
from invoca_bulk.reports import files
from invoca_bulk.schema import RESOURCES, SHEET_RESOURCES, Action
from invoca_bulk.sheets import Sheet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import BinaryIO

    from invoca_bulk.schema.field_types import Json

#: The key that says what the file is, and the number of its form; it goes up whenever the form changes.
FORMAT_KEY, FORMAT_VERSION = "invoca_bulk_plan", 2
FILE_EXTENSION = ".json"
#: What a kept plan has settled, by the names of the options and the arguments.
FIXED_OPTIONS = ("nested", "allow_removals", "auto_ids", "sheet", "resource")

#: How a JSON object begins; no sheet does.
_JSON_OBJECT_START = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*["}]')
_PEEK_BYTES = 4096

#: Attribute of a step or row to its key in the file, where plans were first saved under another name.
_STORED_NAMES = {"non_idempotent": "once", "depends_on": "needs", "snapshot": "before", "object_label": "about"}
_ATTRIBUTES = {stored: attribute for attribute, stored in _STORED_NAMES.items()}

_NONE_TYPE = type(None)
#: The form of the file: a type, `[form]` for a list of any length, `(form, form)` for one of several, a dict for an
#: object with these keys, a frozenset for one of these texts. An object whose form is `dict` may hold anything.
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
_FILE_SCHEMA = {
    FORMAT_KEY: int,
    "base_url": str,
    "network_id": str,
    "api_version": str,
    "choices": {"nested": frozenset(NESTED_MODES), "allow_removals": bool, "auto_ids": bool},
    "reading": {"sheet": (str, _NONE_TYPE), "resource": (str, _NONE_TYPE)},
    "source": str,
    "path": (str, _NONE_TYPE),
    "made_at": str,
    "sheets": [_SHEET_SCHEMA],
    "rows": [_ROW_SCHEMA],
    "steps": [_STEP_SCHEMA],
}


def reject_plan_options(given: Iterable[str]) -> None:
    """A kept plan has its own choices, and its sheet has been read.

    Args:
        given: the names of the options and arguments that were given along with it.

    Raises:
        PlanError: it has settled one of them.
    """
    found = set(given)
    if names := [name for name in FIXED_OPTIONS if name in found]:
        flags = ", ".join(f"--{name.replace('_', '-')} ({name}=…)" for name in names)
        raise PlanError(f"A kept plan has its own choices, so {flags} cannot be given with it. Plan again with that.")


# Writing


def check_plan_path(path: str | Path) -> Path:
    """The path, if its name is one for a kept plan.

    Raises:
        OutputError: it does not end in `.json`.
    """
    target = Path(path)
    if target.suffix.lower() != FILE_EXTENSION:
        raise OutputError(f"{target.name!r} does not end in {FILE_EXTENSION}. Give the kept plan this ending.")
    return target


def write_saved_plan(saved_plan: SavedPlan, path: str | Path) -> Path:
    """Write a plan to a new file, readable by the user only.

    Returns:
        The file: where one is there already, another name (`plan-2.json`).

    Raises:
        OutputError: it cannot be written there.
    """
    # ASCII, since a cell may hold half of a surrogate pair, which UTF-8 has no form for.
    content = json.dumps(_to_json(saved_plan)).encode("ascii")

    def put(stream: BinaryIO) -> None:
        stream.write(content)

    return files.write_file(files.unused_path(check_plan_path(path)), put)


def _to_json(saved_plan: SavedPlan) -> dict[str, Json]:
    return {
        FORMAT_KEY: FORMAT_VERSION,
        "base_url": saved_plan.base_url,
        "network_id": saved_plan.network_id,
        "api_version": saved_plan.api_version,
        "choices": asdict(saved_plan.choices),
        "reading": dict(saved_plan.read_arguments),
        "source": saved_plan.source,
        "path": str(saved_plan.path) if saved_plan.path else None,
        "made_at": saved_plan.made_at,
        "sheets": [_sheet_to_dict(one) for one in saved_plan.sheets],
        "rows": [{name: getattr(row, _ATTRIBUTES.get(name, name)) for name in _ROW_SCHEMA} for row in saved_plan.rows],
        "steps": [
            {_STORED_NAMES.get(name, name): value for name, value in step_to_dict(step).items()}
            for step in saved_plan.steps
        ],
    }


def _sheet_to_dict(sheet: Sheet) -> dict[str, Json]:
    frame = sheet.frame
    return {
        "name": sheet.name,
        "resource": sheet.resource.name,
        "headers": list(frame.columns),
        "rows": [int(row) for row in frame.index],
        "cells": [list(cells) for cells in zip(*(frame[header] for header in frame.columns), strict=True)],
    }


# Reading


def read_if_saved_plan(source: object) -> SavedPlan | None:
    """The kept plan that a path leads to, told by the file's content; None: something else is there, such as a sheet.

    Raises:
        PlanError: it is the beginning of one, or of some other JSON object.
    """
    if isinstance(source, str | os.PathLike) and _is_json_object(path := Path(os.fsdecode(source))):
        return read_saved_plan(path)
    return None


def _is_json_object(path: Path) -> bool:
    try:
        if not path.is_file():  # a pipe would make wait
            return False
        with path.open("rb") as file:
            return bool(_JSON_OBJECT_START.match(file.read(_PEEK_BYTES)))
    except (OSError, ValueError):
        return False


def read_saved_plan(path: str | Path) -> SavedPlan:
    """Read a kept plan.

    Raises:
        PlanError: it cannot be read, is none, is damaged, or was kept by another version of this program.
    """
    name = Path(path).name
    try:
        content = json.loads(Path(path).read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise PlanError(f"{name} cannot be read ({error.strerror}). Check its name and its permissions.") from None
    except (ValueError, RecursionError):
        raise PlanError(f"{name} is damaged: it is no complete kept plan. Plan again with --save.") from None
    if not isinstance(content, dict) or FORMAT_KEY not in content:
        raise PlanError(f"{name} is neither a sheet nor a kept plan. Give one that plan --save has written.")
    if content[FORMAT_KEY] != FORMAT_VERSION:
        raise PlanError(f"{name} was kept by another version of this program. Plan again with --save.")
    if _matches_schema(content, _FILE_SCHEMA):
        with contextlib.suppress(ValueError, OverflowError):
            return _parse_saved_plan(content)
    raise PlanError(f"{name} has been changed, and is no kept plan any more. Plan again with --save.")


def _matches_schema(value: Json, schema: Any) -> bool:  # noqa: ANN401  see `_STEP_SCHEMA`
    """Whether a JSON value has a form."""
    if isinstance(schema, dict):
        return (
            isinstance(value, dict)
            and value.keys() == schema.keys()
            and all(_matches_schema(value[key], schema[key]) for key in schema)
        )
    if isinstance(schema, list):
        return isinstance(value, list) and all(_matches_schema(one, schema[0]) for one in value)
    if isinstance(schema, tuple):
        return any(_matches_schema(value, one) for one in schema)
    if isinstance(schema, frozenset):
        return isinstance(value, str) and value in schema
    return type(value) is schema  # a bool is no int here


def _parse_saved_plan(content: Mapping[str, Any]) -> SavedPlan:
    """The record of a file that has its form.

    Raises:
        ValueError: its parts do not fit together.
    """
    path = content["path"] and Path(content["path"])
    about = [one["resource"] for one in content["sheets"]]
    if not about or len(set(about)) < len(about) or (path and "\0" in content["path"]):
        raise ValueError
    return SavedPlan(
        base_url=content["base_url"],
        network_id=content["network_id"],
        api_version=content["api_version"],
        choices=PlanOptions(**content["choices"]),
        read_arguments=content["reading"],
        source=content["source"],
        path=path,
        made_at=content["made_at"],
        sheets=tuple(_parse_sheet(one, content["source"], path) for one in content["sheets"]),
        rows=tuple(_parse_row(one, len(content["sheets"]), len(content["steps"])) for one in content["rows"]),
        steps=tuple(_parse_step(one) for one in content["steps"]),
    )


def _parse_sheet(one: Mapping[str, Any], source: str, path: Path | None) -> Sheet:
    headers, rows, cells = one["headers"], one["rows"], one["cells"]
    is_whole = len(set(headers)) == len(headers) and len(set(rows)) == len(rows) == len(cells)
    if not is_whole or any(len(texts) != len(headers) for texts in cells):
        raise ValueError
    columns = {header: [texts[at] for texts in cells] for at, header in enumerate(headers)}
    frame = pd.DataFrame(columns, index=pd.Index(rows, dtype="int64", name="row"), dtype=str)
    return Sheet(
        frame=frame,
        resource=SHEET_RESOURCES[one["resource"]],
        source=source,
        path=path,
        read_issues=(),
        name=one["name"],
    )


def _parse_row(one: Mapping[str, Any], sheet_count: int, step_count: int) -> PlannedRow:
    if not (0 <= one["sheet"] < sheet_count and (one["step"] is None or 0 <= one["step"] < step_count)):
        raise ValueError
    return PlannedRow(cells=(), **_to_attributes(one))


def _parse_step(one: dict[str, Any]) -> Step:
    values = {name: tuple(one[name]) for name in ("path", "destination")}
    return Step(**_to_attributes(one | values | {"action": Action(one["action"])}))


def _to_attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    return {_ATTRIBUTES.get(name, name): value for name, value in values.items()}
