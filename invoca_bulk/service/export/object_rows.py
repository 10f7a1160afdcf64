"""One of the platform's objects -> one row of cells, its parts numbered; and what no cell can tell.

A row means what the platform has, or nothing: a cell that would be read as something else, refused, or taken for the
cell of another object is left blank, since a blank cell leaves the platform as it is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from invoca_bulk.planning import merge
from invoca_bulk.reports import xlsx
from invoca_bulk.schema import PART_KEY, PROMO_NUMBERS, Action, Role, paths, payloads
from invoca_bulk.schema.issue_catalog import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from invoca_bulk.schema import Resource
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.schema.issue_catalog import Problem

#: Path, the parts numbered from 1, to text; blank cells are not there.
Row: TypeAlias = dict[str, str]

#: Why something is missing from the sheets; besides these, the codes of issues.
UNNAMED, UNHELD, REPEATED, NO_AREA_CODE = "unnamed", "unheld", "repeated", "no_area_code"

#: What a row is told apart by; the same text in two rows would name both, or be refused.
_TOLD_APART: Mapping[str, tuple[str, ...]] = {
    "advertisers": (PART_KEY, "name"),
    "promo_numbers": ("promo_number", PART_KEY),
}
#: What is enough to name an object.
_NAMES: Mapping[str, tuple[str, ...]] = {"advertisers": (PART_KEY,), "promo_numbers": ("promo_number", PART_KEY)}
_NUMBER, _SOURCE, _AREA_CODE = "promo_number", "source_promo_number", "local_center.tn_prefix"


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What the sheets do not tell of one object or part.

    Attributes:
        code: why: one of the codes above, or that of an issue.
        sheet: the sheet on which it is missing, by the name of what it holds.
        column: the column whose cell is blank; empty: the whole row is missing.
        about: the object or part, as people call it.
        text: the value that the platform has; of an issue, its message.
    """

    code: str
    sheet: str
    column: str
    about: str
    text: str = ""


def rows_of(
    resource: Resource,
    objects: Sequence[Mapping[str, Json]],
    version: str,
    *,
    given: Mapping[str, str] | None = None,
    for_migration: bool = False,
) -> tuple[list[Row], list[Loss]]:
    """The objects of one list as rows.

    Args:
        resource: what they are.
        objects: as the platform gave them.
        version: the API version that they were read with.
        given: the cells that every row begins with: the address of its campaign.
        for_migration: whether the rows are to create the same in another network.
    """
    drafts = [_Draft(resource, one, version, given or {}) for one in objects]
    for path in _TOLD_APART[resource.name]:
        _blank_repeated(drafts, path)
    rows = []
    for one in drafts:
        if one.is_named():
            one.settle(for_migration=for_migration)
            rows.append(one.row)
    return rows, [loss for one in drafts for loss in one.losses]


def _blank_repeated(drafts: Iterable[_Draft], path: str) -> None:
    times = Counter(one.row.get(path) for one in drafts)
    for one in drafts:
        if path in one.row and times[one.row[path]] > 1:
            one.lose(path, REPEATED)


class _Draft:
    """One row while it is made.

    Attributes:
        row: its cells.
        losses: what it does not tell.
    """

    def __init__(self, resource: Resource, answer: Mapping[str, Json], version: str, given: Mapping[str, str]) -> None:
        self._resource = resource
        self._answer = answer
        self.losses: list[Loss] = []
        cells = payloads.texts(resource, answer, version)
        told = {**given, **{path: text for path, text in cells.texts.items() if self._is_told(path)}}
        kept = {path for path, text in told.items() if xlsx.keeps(path) and xlsx.keeps(text)}
        self.row: Row = {path: text for path, text in told.items() if path in kept}
        unheld = [(path, str(value)) for path, value in cells.left_out if self._is_told(path)]
        unheld += [(path, text) for path, text in told.items() if path not in kept]
        gone = tuple(prefix for part in resource.parts for prefix in self._leave_out(part))
        for path, text in unheld:
            if not path.startswith(gone):
                self._tell(UNHELD, path, text)

    def _is_told(self, path: str) -> bool:
        field = self._resource.by_path[paths.pattern(path)]
        return field.is_sent or field.path == self._resource.named_by

    def _leave_out(self, part: Resource) -> Iterator[str]:
        """Leave out the parts that no sheet can name; gives the beginnings of their paths."""
        count = len(self._answer.get(part.name) or ())
        keys = {number: self.row.get(f"{part.name}.{number}.{PART_KEY}") for number in range(1, count + 1)}
        times = Counter(keys.values())
        for number, key in keys.items():
            if key is None or times[key] > 1:
                prefix = f"{part.name}.{number}."
                self._tell(UNNAMED, prefix)
                self.row = {path: text for path, text in self.row.items() if not path.startswith(prefix)}
                yield prefix

    def lose(self, path: str, code: str) -> None:
        """Leave a cell blank."""
        self._tell(code, path, self.row.pop(path))

    def is_named(self) -> bool:
        """Whether a row can name the object at all; if not, all of it is lost."""
        if any(path in self.row for path in _NAMES[self._resource.name]):
            return True
        self.losses = []
        self._tell(UNNAMED, "")
        return False

    def settle(self, *, for_migration: bool) -> None:
        """Leave out what a sheet must not say, and, for another network, what only this one has."""
        while found := next(self._objections(), None):
            problem, cells = found
            self._tell(problem.code, cells[0], problem.message)
            self.row = {path: text for path, text in self.row.items() if path not in cells}
        if for_migration and _NUMBER in self.row:
            self._migrate()

    # Rules over several columns

    def _objections(self) -> Iterator[tuple[Problem, list[str]]]:
        """What validation would refuse in the row although the platform has it, and the cells to leave blank."""
        fields = {path: self._resource.by_path[paths.pattern(path)] for path in self.row}
        for rule in (one for one in self._resource.rules if not (one.whole and self._resource.parts)):
            seen = {
                path: one.kind.read(self.row[path]).value for path, one in fields.items() if one.path in rule.fields
            }
            for problem in rule.check(seen):
                if problem.level == "error" and (cells := self._culprits(problem, seen)):
                    yield problem, cells

    def _culprits(self, problem: Problem, seen: Iterable[str]) -> list[str]:
        """The cells that a problem is about: a whole record of a list, since half of one would mean another one."""
        column = problem.column or ""
        parent, dot, _ = column.rpartition(".")
        free = [path for path in seen if self._may_be_blank(path)]
        own = [path for path in self.row if (path.startswith(f"{parent}.") if dot else path == column)]
        return [path for path in own if self._may_be_blank(path)] or free

    def _may_be_blank(self, path: str) -> bool:
        field = self._resource.by_path[paths.pattern(path)]
        return field.role is Role.BODY and path not in _NAMES[self._resource.name]

    # Another network

    def _migrate(self) -> None:
        """The number is the other network's to choose; of this one its area code is all that can be asked for."""
        number = self.row[_SOURCE] = self.row.pop(_NUMBER)
        self.row["action"] = Action.CREATE.value  # a number that happens to have the same id there is another one
        try:
            self.row[_AREA_CODE] = _area_code(number)
        except Refused as refused:
            if refused.problem.code != "toll_free_area_code":
                self._tell(NO_AREA_CODE, _AREA_CODE, number)

    # What is lost

    def _tell(self, code: str, path: str, text: str = "") -> None:
        sheet, number, column = _place(self._resource, path)
        self.losses.append(Loss(code=code, sheet=sheet, column=column, about=self._about(sheet, number), text=text))

    def _about(self, sheet: str, number: int) -> str:
        """An object as people call it: `A-1`; a part of it: `U-1 of A-1`."""
        names = (_SOURCE, *_NAMES[self._resource.name])
        own = next((self.row[path] for path in names if path in self.row), "")
        own = own or str(self._answer.get("name") or f"id {self._answer.get('id')}")
        if not number:
            return own
        part = self._answer[sheet][number - 1]
        return f"{part.get(PART_KEY) or merge.called(part) or f'number {number}'} of {own}"


def _area_code(number: str) -> str:
    """The area code of a local number.

    Raises:
        Refused: it is toll-free, or of a country or place that no local center can name.
    """
    return str(PROMO_NUMBERS.by_path[_AREA_CODE].kind.read(number.removeprefix("+1")[:3]).value)


def _place(resource: Resource, path: str) -> tuple[str, int, str]:
    """The sheet of a cell, the number of its part (0: none), and its column there (empty: the whole row)."""
    name, _, rest = path.partition(".")
    if name not in {part.name for part in resource.parts}:
        return resource.name, 0, path
    number, _, column = rest.partition(".")
    return name, int(number), column
