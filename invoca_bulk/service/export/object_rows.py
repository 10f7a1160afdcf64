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
from invoca_bulk.schema import PROMO_NUMBERS, SUBRESOURCE_KEY, Action, Role, paths, payloads
from invoca_bulk.schema.issue_catalog import ParseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from invoca_bulk.schema import Resource
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.schema.issue_catalog import Problem

#: Path, the parts numbered from 1, to text; blank cells are not there.
Row: TypeAlias = dict[str, str]

#: Why something is missing from the sheets; besides these, the codes of issues.
UNIDENTIFIED, UNREPRESENTABLE, DUPLICATE, NO_AREA_CODE = "unnamed", "unheld", "repeated", "no_area_code"

#: What a row is told apart by; the same text in two rows would name both, or be refused.
_UNIQUE_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "advertisers": (SUBRESOURCE_KEY, "name"),
    "promo_numbers": ("promo_number", SUBRESOURCE_KEY),
}
#: What is enough to name an object.
_IDENTIFIER_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "advertisers": (SUBRESOURCE_KEY,),
    "promo_numbers": ("promo_number", SUBRESOURCE_KEY),
}
_NUMBER, _SOURCE, _AREA_CODE = "promo_number", "source_promo_number", "local_center.tn_prefix"


@dataclass(frozen=True, kw_only=True)
class OmittedValue:
    """What the sheets do not tell of one object or part.

    Attributes:
        code: why: one of the codes above, or that of an issue.
        sheet: the sheet on which it is missing, by the name of what it holds.
        column: the column whose cell is blank; empty: the whole row is missing.
        object_label: the object or part, as people call it.
        text: the value that the platform has; of an issue, its message.
    """

    code: str
    sheet: str
    column: str
    object_label: str
    text: str = ""


def to_rows(
    resource: Resource,
    objects: Sequence[Mapping[str, Json]],
    version: str,
    *,
    address_cells: Mapping[str, str] | None = None,
    for_migration: bool = False,
) -> tuple[list[Row], list[OmittedValue]]:
    """The objects of one list as rows.

    Args:
        resource: what they are.
        objects: as the platform gave them.
        version: the API version that they were read with.
        address_cells: the cells that every row begins with: the address of its campaign.
        for_migration: whether the rows are to create the same in another network.
    """
    drafts = [_RowBuilder(resource, one, version, address_cells or {}) for one in objects]
    for path in _UNIQUE_COLUMNS[resource.name]:
        _blank_duplicates(drafts, path)
    rows = []
    for one in drafts:
        if one.check_identified():
            one.finalize(for_migration=for_migration)
            rows.append(one.row)
    return rows, [loss for one in drafts for loss in one.omitted_values]


def _blank_duplicates(drafts: Iterable[_RowBuilder], path: str) -> None:
    times = Counter(one.row.get(path) for one in drafts)
    for one in drafts:
        if path in one.row and times[one.row[path]] > 1:
            one.blank_cell(path, DUPLICATE)


class _RowBuilder:
    """One row while it is made.

    Attributes:
        row: its cells.
        omitted_values: what it does not tell.
    """

    def __init__(
        self, resource: Resource, answer: Mapping[str, Json], version: str, address_cells: Mapping[str, str]
    ) -> None:
        self._resource = resource
        self._platform_object = answer
        self.omitted_values: list[OmittedValue] = []
        cells = payloads.to_cell_texts(resource, answer, version)
        told = {**address_cells, **{path: text for path, text in cells.texts.items() if self._is_exported(path)}}
        kept = {path for path, text in told.items() if xlsx.can_round_trip(path) and xlsx.can_round_trip(text)}
        self.row: Row = {path: text for path, text in told.items() if path in kept}
        unheld = [(path, str(value)) for path, value in cells.unrepresentable if self._is_exported(path)]
        unheld += [(path, text) for path, text in told.items() if path not in kept]
        gone = tuple(prefix for part in resource.subresources for prefix in self._omit_unidentified_parts(part))
        for path, text in unheld:
            if not path.startswith(gone):
                self._add_omission(UNREPRESENTABLE, path, text)

    def _is_exported(self, path: str) -> bool:
        field = self._resource.by_path[paths.to_pattern(path)]
        return field.is_sent or field.path == self._resource.identifier_field

    def _omit_unidentified_parts(self, part: Resource) -> Iterator[str]:
        """Leave out the parts that no sheet can name; gives the beginnings of their paths."""
        count = len(self._platform_object.get(part.name) or ())
        keys = {number: self.row.get(f"{part.name}.{number}.{SUBRESOURCE_KEY}") for number in range(1, count + 1)}
        times = Counter(keys.values())
        for number, key in keys.items():
            if key is None or times[key] > 1:
                prefix = f"{part.name}.{number}."
                self._add_omission(UNIDENTIFIED, prefix)
                self.row = {path: text for path, text in self.row.items() if not path.startswith(prefix)}
                yield prefix

    def blank_cell(self, path: str, code: str) -> None:
        """Leave a cell blank."""
        self._add_omission(code, path, self.row.pop(path))

    def check_identified(self) -> bool:
        """Whether a row can name the object at all; if not, all of it is lost."""
        if any(path in self.row for path in _IDENTIFIER_COLUMNS[self._resource.name]):
            return True
        self.omitted_values = []
        self._add_omission(UNIDENTIFIED, "")
        return False

    def finalize(self, *, for_migration: bool) -> None:
        """Leave out what a sheet must not say, and, for another network, what only this one has."""
        while found := next(self._rule_violations(), None):
            problem, cells = found
            self._add_omission(problem.code, cells[0], problem.message)
            self.row = {path: text for path, text in self.row.items() if path not in cells}
        if for_migration and _NUMBER in self.row:
            self._convert_for_migration()

    # Rules over several columns

    def _rule_violations(self) -> Iterator[tuple[Problem, list[str]]]:
        """What validation would refuse in the row although the platform has it, and the cells to leave blank."""
        fields = {path: self._resource.by_path[paths.to_pattern(path)] for path in self.row}
        for rule in (
            one for one in self._resource.rules if not (one.needs_whole_object and self._resource.subresources)
        ):
            seen = {
                path: one.field_type.parse_cell(self.row[path]).value
                for path, one in fields.items()
                if one.path in rule.fields
            }
            for problem in rule.check(seen):
                if problem.level == "error" and (cells := self._cells_to_blank(problem, seen)):
                    yield problem, cells

    def _cells_to_blank(self, problem: Problem, seen: Iterable[str]) -> list[str]:
        """The cells that a problem is about: a whole record of a list, since half of one would mean another one."""
        column = problem.column or ""
        parent, dot, _ = column.rpartition(".")
        free = [path for path in seen if self._can_be_blank(path)]
        own = [path for path in self.row if (path.startswith(f"{parent}.") if dot else path == column)]
        return [path for path in own if self._can_be_blank(path)] or free

    def _can_be_blank(self, path: str) -> bool:
        field = self._resource.by_path[paths.to_pattern(path)]
        return field.role is Role.BODY and path not in _IDENTIFIER_COLUMNS[self._resource.name]

    # Another network

    def _convert_for_migration(self) -> None:
        """The number is the other network's to choose; of this one its area code is all that can be asked for."""
        number = self.row[_SOURCE] = self.row.pop(_NUMBER)
        self.row["action"] = Action.CREATE.value  # a number that happens to have the same id there is another one
        try:
            self.row[_AREA_CODE] = _parse_area_code(number)
        except ParseError as refused:
            if refused.problem.code != "toll_free_area_code":
                self._add_omission(NO_AREA_CODE, _AREA_CODE, number)

    # What is lost

    def _add_omission(self, code: str, path: str, text: str = "") -> None:
        sheet, number, column = _split_part_path(self._resource, path)
        self.omitted_values.append(
            OmittedValue(
                code=code, sheet=sheet, column=column, object_label=self._object_label(sheet, number), text=text
            )
        )

    def _object_label(self, sheet: str, number: int) -> str:
        """An object as people call it: `A-1`; a part of it: `U-1 of A-1`."""
        names = (_SOURCE, *_IDENTIFIER_COLUMNS[self._resource.name])
        own = next((self.row[path] for path in names if path in self.row), "")
        own = own or str(self._platform_object.get("name") or f"id {self._platform_object.get('id')}")
        if not number:
            return own
        part = self._platform_object[sheet][number - 1]
        return f"{part.get(SUBRESOURCE_KEY) or merge.display_name(part) or f'number {number}'} of {own}"


def _parse_area_code(number: str) -> str:
    """The area code of a local number.

    Raises:
        Refused: it is toll-free, or of a country or place that no local center can name.
    """
    return str(PROMO_NUMBERS.by_path[_AREA_CODE].field_type.parse_cell(number.removeprefix("+1")[:3]).value)


def _split_part_path(resource: Resource, path: str) -> tuple[str, int, str]:
    """The sheet of a cell, the number of its part (0: none), and its column there (empty: the whole row)."""
    name, _, rest = path.partition(".")
    if name not in {part.name for part in resource.subresources}:
        return resource.name, 0, path
    number, _, column = rest.partition(".")
    return name, int(number), column
