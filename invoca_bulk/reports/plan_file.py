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

from invoca_bulk.config.options import NESTED, Choices
from invoca_bulk.errors import OutputUnwritable, PlanUnusable
from invoca_bulk.planning import Kept, PlannedRow, Step, step_values
from invoca_bulk.reports import files
from invoca_bulk.schema import RESOURCES, SHEETS, Action
from invoca_bulk.sheets import Sheet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import BinaryIO

    from invoca_bulk.schema.field_types import Json

#: The key that says what the file is, and the number of its form; it goes up whenever the form changes.
MARK, VERSION = "invoca_bulk_plan", 2
ENDING = ".json"
#: What a kept plan has settled, by the names of the options and the arguments.
SETTLED = ("nested", "allow_removals", "auto_ids", "sheet", "resource")

#: How a JSON object begins; no sheet does.
_OBJECT = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*["}]')
_LOOK = 4096

_NONE = type(None)
#: The form of the file: a type, `[form]` for a list of any length, `(form, form)` for one of several, a dict for an
#: object with these keys, a frozenset for one of these texts. An object whose form is `dict` may hold anything.
_STEP = {
    "number": int,
    "resource": frozenset(RESOURCES),
    "action": frozenset(Action),
    "verb": str,
    "path": [str],
    "body": (dict, _NONE),
    "own_id": str,
    "once": bool,
    "phase": int,
    "needs": (int, _NONE),
    "patch": (dict, _NONE),
    "before": (dict, _NONE),
    "destination": [str],
    "identity": str,
}
_ROW = {"sheet": int, "row": int, "action": str, "about": str, "step": (int, _NONE)}
_SHEET = {"name": str, "resource": frozenset(SHEETS), "headers": [str], "rows": [int], "cells": [[str]]}
_FILE = {
    MARK: int,
    "base_url": str,
    "network_id": str,
    "api_version": str,
    "choices": {"nested": frozenset(NESTED), "allow_removals": bool, "auto_ids": bool},
    "reading": {"sheet": (str, _NONE), "resource": (str, _NONE)},
    "source": str,
    "path": (str, _NONE),
    "made_at": str,
    "sheets": [_SHEET],
    "rows": [_ROW],
    "steps": [_STEP],
}


def refuse_settled(given: Iterable[str]) -> None:
    """A kept plan has its own choices, and its sheet has been read.

    Args:
        given: the names of the options and arguments that were given along with it.

    Raises:
        PlanUnusable: it has settled one of them.
    """
    found = set(given)
    if names := [name for name in SETTLED if name in found]:
        flags = ", ".join(f"--{name.replace('_', '-')} ({name}=…)" for name in names)
        raise PlanUnusable(
            f"A kept plan has its own choices, so {flags} cannot be given with it. Plan again with that."
        )


# Writing


def checked_path(path: str | Path) -> Path:
    """The path, if its name is one for a kept plan.

    Raises:
        OutputUnwritable: it does not end in `.json`.
    """
    target = Path(path)
    if target.suffix.lower() != ENDING:
        raise OutputUnwritable(f"{target.name!r} does not end in {ENDING}. Give the kept plan this ending.")
    return target


def write(kept: Kept, path: str | Path) -> Path:
    """Write a plan to a new file, readable by the user only.

    Returns:
        The file: where one is there already, another name (`plan-2.json`).

    Raises:
        OutputUnwritable: it cannot be written there.
    """
    # ASCII, since a cell may hold half of a surrogate pair, which UTF-8 has no form for.
    content = json.dumps(_content(kept)).encode("ascii")

    def put(stream: BinaryIO) -> None:
        stream.write(content)

    return files.write_file(files.free(checked_path(path)), put)


def _content(kept: Kept) -> dict[str, Json]:
    return {
        MARK: VERSION,
        "base_url": kept.base_url,
        "network_id": kept.network_id,
        "api_version": kept.api_version,
        "choices": asdict(kept.choices),
        "reading": dict(kept.reading),
        "source": kept.source,
        "path": str(kept.path) if kept.path else None,
        "made_at": kept.made_at,
        "sheets": [_sheet_values(one) for one in kept.sheets],
        "rows": [{name: getattr(one, name) for name in _ROW} for one in kept.rows],
        "steps": [step_values(one) for one in kept.steps],
    }


def _sheet_values(sheet: Sheet) -> dict[str, Json]:
    frame = sheet.frame
    return {
        "name": sheet.name,
        "resource": sheet.resource.name,
        "headers": list(frame.columns),
        "rows": [int(row) for row in frame.index],
        "cells": [list(cells) for cells in zip(*(frame[header] for header in frame.columns), strict=True)],
    }


# Reading


def opened(source: object) -> Kept | None:
    """The kept plan that a path leads to, told by the file's content; None: something else is there, such as a sheet.

    Raises:
        PlanUnusable: it is the beginning of one, or of some other JSON object.
    """
    if isinstance(source, str | os.PathLike) and _is_object(path := Path(os.fsdecode(source))):
        return read(path)
    return None


def _is_object(path: Path) -> bool:
    try:
        if not path.is_file():  # a pipe would make wait
            return False
        with path.open("rb") as file:
            return bool(_OBJECT.match(file.read(_LOOK)))
    except (OSError, ValueError):
        return False


def read(path: str | Path) -> Kept:
    """Read a kept plan.

    Raises:
        PlanUnusable: it cannot be read, is none, is damaged, or was kept by another version of this program.
    """
    name = Path(path).name
    try:
        content = json.loads(Path(path).read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise PlanUnusable(f"{name} cannot be read ({error.strerror}). Check its name and its permissions.") from None
    except (ValueError, RecursionError):
        raise PlanUnusable(f"{name} is damaged: it is no complete kept plan. Plan again with --save.") from None
    if not isinstance(content, dict) or MARK not in content:
        raise PlanUnusable(f"{name} is neither a sheet nor a kept plan. Give one that plan --save has written.")
    if content[MARK] != VERSION:
        raise PlanUnusable(f"{name} was kept by another version of this program. Plan again with --save.")
    if _fits(content, _FILE):
        with contextlib.suppress(ValueError, OverflowError):
            return _kept(content)
    raise PlanUnusable(f"{name} has been changed, and is no kept plan any more. Plan again with --save.")


def _fits(value: Json, form: Any) -> bool:  # noqa: ANN401  see `_STEP`
    """Whether a JSON value has a form."""
    if isinstance(form, dict):
        return (
            isinstance(value, dict)
            and value.keys() == form.keys()
            and all(_fits(value[key], form[key]) for key in form)
        )
    if isinstance(form, list):
        return isinstance(value, list) and all(_fits(one, form[0]) for one in value)
    if isinstance(form, tuple):
        return any(_fits(value, one) for one in form)
    if isinstance(form, frozenset):
        return isinstance(value, str) and value in form
    return type(value) is form  # a bool is no int here


def _kept(content: Mapping[str, Any]) -> Kept:
    """The record of a file that has its form.

    Raises:
        ValueError: its parts do not fit together.
    """
    path = content["path"] and Path(content["path"])
    about = [one["resource"] for one in content["sheets"]]
    if not about or len(set(about)) < len(about) or (path and "\0" in content["path"]):
        raise ValueError
    return Kept(
        base_url=content["base_url"],
        network_id=content["network_id"],
        api_version=content["api_version"],
        choices=Choices(**content["choices"]),
        reading=content["reading"],
        source=content["source"],
        path=path,
        made_at=content["made_at"],
        sheets=tuple(_sheet(one, content["source"], path) for one in content["sheets"]),
        rows=tuple(_row(one, len(content["sheets"]), len(content["steps"])) for one in content["rows"]),
        steps=tuple(_step(one) for one in content["steps"]),
    )


def _sheet(one: Mapping[str, Any], source: str, path: Path | None) -> Sheet:
    headers, rows, cells = one["headers"], one["rows"], one["cells"]
    is_whole = len(set(headers)) == len(headers) and len(set(rows)) == len(rows) == len(cells)
    if not is_whole or any(len(texts) != len(headers) for texts in cells):
        raise ValueError
    columns = {header: [texts[at] for texts in cells] for at, header in enumerate(headers)}
    frame = pd.DataFrame(columns, index=pd.Index(rows, dtype="int64", name="row"), dtype=str)
    return Sheet(frame=frame, resource=SHEETS[one["resource"]], source=source, path=path, findings=(), name=one["name"])


def _row(one: Mapping[str, Any], sheets: int, steps: int) -> PlannedRow:
    if not (0 <= one["sheet"] < sheets and (one["step"] is None or 0 <= one["step"] < steps)):
        raise ValueError
    return PlannedRow(cells=(), **one)


def _step(one: Mapping[str, Any]) -> Step:
    values = {name: tuple(one[name]) for name in ("path", "destination")}
    return Step(**{**one, **values, "action": Action(one["action"])})
