"""An object of the platform -> a row of cells, with numbered users and sites, and the values that no cell can hold.

A cell that would be read as another value, be rejected, or name another object is left blank, since a run leaves the
values of blank cells unchanged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from invoca_bulk.planning import merge
from invoca_bulk.reports import xlsx
from invoca_bulk.schema import PROMO_NUMBERS, SUBRESOURCE_KEY, Action, Resource, Role, paths, payloads
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import ParseError, Problem

#: Path (users and sites numbered from 1) to text; without blank cells.
Row: TypeAlias = dict[str, str]

#: Why something is missing from the sheets; issue codes are used as well.
UNIDENTIFIED, UNREPRESENTABLE, DUPLICATE, NO_AREA_CODE = "unnamed", "unheld", "repeated", "no_area_code"

#: The columns that must be unique: the same text in two rows would name both objects, or be rejected.
_UNIQUE_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "advertisers": (SUBRESOURCE_KEY, "name"),
    "promo_numbers": ("promo_number", SUBRESOURCE_KEY),
}
#: The columns of which one is enough to identify an object.
_IDENTIFIER_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "advertisers": (SUBRESOURCE_KEY,),
    "promo_numbers": ("promo_number", SUBRESOURCE_KEY),
}
_NUMBER, _SOURCE, _AREA_CODE = "promo_number", "source_promo_number", "local_center.tn_prefix"


@dataclass(frozen=True, kw_only=True)
class OmittedValue:
    """A value, or a whole object, that the sheets leave out."""

    code: str  # why: one of the codes above, or an issue code
    sheet: str  # the resource name
    column: str  # the column of the blank cell; empty: the whole row is missing
    object_label: str  # the object, user or site as people refer to it
    text: str = ""  # the platform's value; the message of an issue


def to_rows(
    resource: Resource,
    objects: Sequence[Mapping[str, Json]],
    version: str,
    *,
    address_cells: Mapping[str, str] | None = None,
    for_migration: bool = False,
) -> tuple[list[Row], list[OmittedValue]]:
    """The objects of one list as rows, and what they leave out; `address_cells` are the campaign's, in every row."""
    builders = [_RowBuilder(resource, record, version, address_cells or {}) for record in objects]
    for path in _UNIQUE_COLUMNS[resource.name]:
        counts = Counter(builder.row.get(path) for builder in builders)
        for builder in builders:
            if path in builder.row and counts[builder.row[path]] > 1:
                builder.blank_cell(path, DUPLICATE)
    rows = []
    for builder in builders:
        if builder.check_identified():
            builder.finalize(for_migration=for_migration)
            rows.append(builder.row)
    return rows, [omitted for builder in builders for omitted in builder.omitted_values]


class _RowBuilder:
    """Builds one row, and collects what it leaves out."""

    def __init__(
        self, resource: Resource, record: Mapping[str, Json], version: str, address_cells: Mapping[str, str]
    ) -> None:
        self._resource = resource
        self._platform_object = record
        self.omitted_values: list[OmittedValue] = []
        cells = payloads.to_cell_texts(resource, record, version)
        texts = {**address_cells, **{path: text for path, text in cells.texts.items() if self._is_exported(path)}}
        self.row: Row = {path: text for path, text in texts.items() if all(map(xlsx.can_round_trip, (path, text)))}
        unrepresentable = [(path, str(value)) for path, value in cells.unrepresentable if self._is_exported(path)]
        unrepresentable += [(path, text) for path, text in texts.items() if path not in self.row]
        omitted = tuple(prefix for part in resource.subresources for prefix in self._omit_unidentified_parts(part))
        for path, text in unrepresentable:
            if not path.startswith(omitted):
                self._add_omission(UNREPRESENTABLE, path, text)

    def _is_exported(self, path: str) -> bool:
        field = self._resource.by_path[paths.to_pattern(path)]
        return field.is_sent or field.path == self._resource.identifier_field

    def _omit_unidentified_parts(self, part: Resource) -> Iterator[str]:
        """Leave out users or sites without a unique id; yields the start of their paths."""
        count = len(self._platform_object.get(part.name) or ())
        ids = {number: self.row.get(f"{part.name}.{number}.{SUBRESOURCE_KEY}") for number in range(1, count + 1)}
        id_counts = Counter(ids.values())
        for number, own_id in ids.items():
            if own_id is None or id_counts[own_id] > 1:
                prefix = f"{part.name}.{number}."
                self._add_omission(UNIDENTIFIED, prefix)
                self.row = {path: text for path, text in self.row.items() if not path.startswith(prefix)}
                yield prefix

    def blank_cell(self, path: str, code: str) -> None:
        """Leave a cell blank."""
        self._add_omission(code, path, self.row.pop(path))

    def check_identified(self) -> bool:
        """Whether the row identifies the object; if not, the whole object is left out."""
        if any(path in self.row for path in _IDENTIFIER_COLUMNS[self._resource.name]):
            return True
        self.omitted_values = []
        self._add_omission(UNIDENTIFIED, "")
        return False

    def finalize(self, *, for_migration: bool) -> None:
        """Leave out values that break a rule, and, for another network, values that exist only in this one."""
        while violation := next(self._rule_violations(), None):
            problem, cells = violation
            self._add_omission(problem.code, cells[0], problem.message)
            self.row = {path: text for path, text in self.row.items() if path not in cells}
        if for_migration and _NUMBER in self.row:
            self._convert_for_migration()

    def _rule_violations(self) -> Iterator[tuple[Problem, list[str]]]:
        """The problems that validation would find in the platform's values, and the cells to leave blank."""
        fields = {path: self._resource.by_path[paths.to_pattern(path)] for path in self.row}
        for rule in self._resource.rules:
            if rule.needs_whole_object and self._resource.subresources:
                continue
            values = {
                path: field.field_type.parse_cell(self.row[path]).value
                for path, field in fields.items()
                if field.path in rule.fields
            }
            for problem in rule.check(values):
                if problem.level == "error" and (cells := self._cells_to_blank(problem, values)):
                    yield problem, cells

    def _cells_to_blank(self, problem: Problem, rule_paths: Iterable[str]) -> list[str]:
        """The cells of a problem: a whole list entry, since half of one would mean another entry."""
        column = problem.column or ""
        parent, dot, _ = column.rpartition(".")
        problem_paths = [path for path in self.row if (path.startswith(f"{parent}.") if dot else path == column)]
        return [path for path in problem_paths if self._can_be_blank(path)] or [
            path for path in rule_paths if self._can_be_blank(path)
        ]

    def _can_be_blank(self, path: str) -> bool:
        field = self._resource.by_path[paths.to_pattern(path)]
        return field.role is Role.BODY and path not in _IDENTIFIER_COLUMNS[self._resource.name]

    def _convert_for_migration(self) -> None:
        """Ask for a new number: the other network chooses it, only the area code can be requested."""
        number = self.row[_SOURCE] = self.row.pop(_NUMBER)
        self.row["action"] = Action.CREATE.value  # a number with the same id in the other network is another number
        try:
            area_code = PROMO_NUMBERS.by_path[_AREA_CODE].field_type.parse_cell(number.removeprefix("+1")[:3])
            self.row[_AREA_CODE] = str(area_code.value)
        except ParseError as error:
            if error.problem.code != "toll_free_area_code":
                self._add_omission(NO_AREA_CODE, _AREA_CODE, number)

    def _add_omission(self, code: str, path: str, text: str = "") -> None:
        sheet, number, column = split_part_path(self._resource, path)
        label = self._object_label(sheet, number)
        self.omitted_values.append(OmittedValue(code=code, sheet=sheet, column=column, object_label=label, text=text))

    def _object_label(self, sheet: str, number: int) -> str:
        """The label of the object: `A-1`; of one of its users or sites: `U-1 of A-1`."""
        identifier_columns = (_SOURCE, *_IDENTIFIER_COLUMNS[self._resource.name])
        label = next((self.row[path] for path in identifier_columns if path in self.row), "")
        label = label or str(self._platform_object.get("name") or f"id {self._platform_object.get('id')}")
        if not number:
            return label
        part = self._platform_object[sheet][number - 1]
        return f"{part.get(SUBRESOURCE_KEY) or merge.display_name(part) or f'number {number}'} of {label}"


def split_part_path(resource: Resource, path: str) -> tuple[str, int, str]:
    """`users.2.first_name` -> `users`, 2, `first_name`; an own column of the resource: its name, 0, the path."""
    name, _, numbered_path = path.partition(".")
    if all(name != part.name for part in resource.subresources):
        return resource.name, 0, path
    number, _, column = numbered_path.partition(".")
    return name, int(number), column
