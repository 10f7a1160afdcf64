"""Finds the recorded row that each row of a results file stands for. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property

from invoca_bulk.schema import PROMO_NUMBERS
from invoca_bulk.schema.field_types import normalize_text
from invoca_bulk.schema.outcomes import SUCCESS_OUTCOMES, Outcome
from invoca_bulk.service.claims.model import (
    NUMBER,
    OWN_ID,
    ClaimedRow,
    RecordedRow,
    Request,
    count_differing,
    is_rounded,
    is_similar,
)


class Kind(Enum):
    """How a row relates to what a run recorded."""

    SAME = auto()  # it asks for what the recorded row asked for
    EDITED = auto()  # it has the recorded row's object, and other cells
    EDITED_UNKNOWN = auto()  # nothing names its object; it resembles a row whose outcome is unknown
    MOVED = auto()  # its object or its request is that of another row
    REPEATED = auto()  # another row of the sheet stands for the same recorded row
    OTHER_NUMBER = auto()  # the run recorded another number for its request
    TYPED_NUMBER = auto()  # the run recorded no number for its request
    UNFOUNDED = auto()  # nothing recorded belongs to it, and it may be one of the rows that the sheet lacks
    ADDED = auto()  # nothing recorded belongs to it, and the sheet lacks none
    CORRECTED = auto()  # it was not done, and has been edited since
    REPLACES_UNKNOWN = auto()  # it asks for something new, and resembles a row of unknown outcome that the sheet lacks


@dataclass(frozen=True, kw_only=True)
class Match:
    """A row of the sheet and what is recorded about it."""

    claimed: ClaimedRow
    kind: Kind
    recorded: RecordedRow | None = None
    others: tuple[ClaimedRow, ...] = ()  # the rows of the sheet that stand for the same


def match_rows(
    request: Request,
    rows: Sequence[ClaimedRow],
    recorded: Sequence[RecordedRow],
    new_rows: Iterable[ClaimedRow] = (),
) -> list[Match]:
    """Match the rows of a sheet that name a run with the rows that it recorded, each of which serves once.

    `new_rows` have no results; of these, the ones that may replace a recorded row are matched.
    """
    matcher = _Matcher(request, recorded)
    matcher.match(rows)
    matcher.match_new(new_rows)
    return matcher.matches


#: Outcomes of rows that may stand for an object.
_MAY_BE_BOUGHT = SUCCESS_OUTCOMES | {Outcome.UNKNOWN}


class _Matcher:
    def __init__(self, request: Request, recorded: Sequence[RecordedRow]) -> None:
        self._request = request
        self._recorded = recorded
        self._keys = [request.key(item.texts) for item in recorded]
        self._by_key: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._by_name: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for index, item in enumerate(recorded):
            self._by_key[self._keys[index]].append(index)
            if name := request.name(item.texts):
                self._by_name[name].append(index)
        self._claimed_by: dict[int, ClaimedRow] = {}
        self._certain: frozenset[int] = frozenset()  # the recorded rows whose name and request one row shows
        self.matches: list[Match] = []

    def match(self, rows: Sequence[ClaimedRow]) -> None:
        names = {claimed.position: self._request.name(claimed.texts) for claimed in rows}
        named = [claimed for claimed in rows if names[claimed.position] in self._by_name]
        others = [claimed for claimed in rows if names[claimed.position] not in self._by_name]
        edited = [claimed for claimed in named if not self._match_same(claimed, names[claimed.position])]
        self._certain = frozenset(self._claimed_by)
        edits = [match for claimed in edited if (match := self._match_edited(claimed, names[claimed.position]))]
        self.matches += self._reject_permuted(edits)
        unmatched = [claimed for claimed in others if not self._match_by_request(claimed, same_outcome=True)]
        unmatched = [claimed for claimed in unmatched if not self._match_by_request(claimed, same_outcome=False)]
        for claimed in unmatched:
            self._match_rest(claimed)

    def _add(
        self, claimed: ClaimedRow, kind: Kind, index: int | None = None, *, others: Iterable[ClaimedRow] = ()
    ) -> None:
        recorded = None if index is None else self._recorded[index]
        self.matches.append(Match(claimed=claimed, kind=kind, recorded=recorded, others=tuple(others)))

    def _free(self, indexes: Iterable[int]) -> list[int]:
        return [index for index in indexes if index not in self._claimed_by]

    def _match_same(self, claimed: ClaimedRow, name: tuple[str, ...]) -> bool:
        """Match a row whose name and request are recorded together."""
        same = [index for index in self._by_name[name] if self._keys[index] == claimed.key]
        if not same:
            return False
        if free := self._free(same):  # several runs may have done the same with its object
            index = next((index for index in free if self._recorded[index].outcome is claimed.outcome), free[0])
            self._claimed_by[index] = claimed
            self._add(claimed, Kind.SAME, index)
        else:
            self._add(claimed, Kind.REPEATED, same[0], others=(self._claimed_by[same[0]], claimed))
        return True

    def _match_edited(self, claimed: ClaimedRow, name: tuple[str, ...]) -> Match | None:
        """Match a row whose name is recorded with another request."""
        is_number = self._request.resource is PROMO_NUMBERS
        free = self._free(self._by_name[name])
        if not free:
            index = self._by_name[name][0]
            if is_number:
                self._add(claimed, Kind.REPEATED, index, others=(self._claimed_by[index], claimed))
            else:  # another row of the same advertiser
                self._add(claimed, Kind.ADDED)
            return None
        index = min(free, key=lambda index: count_differing(claimed.key, self._keys[index]))
        self._claimed_by[index] = claimed
        if is_number and not self._certain.issuperset(self._by_key.get(claimed.key, ())):
            self._add(claimed, Kind.MOVED, index)
            return None
        return Match(claimed=claimed, kind=Kind.EDITED, recorded=self._recorded[index])

    def _reject_permuted(self, edits: Sequence[Match]) -> list[Match]:
        """Rows whose cells only changed places in a column: it was sorted alone."""
        by_path: dict[str, list[tuple[Match, str, str]]] = defaultdict(list)
        for match in edits:
            assert match.recorded is not None  # noqa: S101  tells mypy what `_match_edited` did
            recorded_key = self._request.key(match.recorded.texts)
            for path, new, old in zip(self._request.paths, match.claimed.key, recorded_key, strict=True):
                if new != old:
                    by_path[path].append((match, new, old))
        moved = {
            match.claimed.position
            for cells in by_path.values()
            if len(cells) > 1 and sorted(new for _, new, _ in cells) == sorted(old for _, _, old in cells)
            for match, _, _ in cells
        }
        return [
            Match(claimed=match.claimed, kind=Kind.MOVED, recorded=match.recorded)
            if match.claimed.position in moved and self._request.resource is PROMO_NUMBERS
            else match
            for match in edits
        ]

    def _match_by_request(self, claimed: ClaimedRow, *, same_outcome: bool) -> bool:
        """Match a row that shows no recorded name by what it asks for."""
        free = self._free(self._by_key.get(claimed.key, ()))
        if same_outcome:
            free = [index for index in free if self._recorded[index].outcome is claimed.outcome]
        if not free:
            return False
        own_id = claimed.texts.get(OWN_ID, "").strip()
        free.sort(key=lambda index: self._recorded[index].texts.get(OWN_ID, "").strip() != own_id)
        text = normalize_text(claimed.texts.get(NUMBER, ""))
        if text and self._request.resource is PROMO_NUMBERS:
            return self._match_other_number(claimed, text, free)
        self._claimed_by[free[0]] = claimed
        self._add(claimed, Kind.SAME, free[0])
        return True

    def _match_other_number(self, claimed: ClaimedRow, text: str, free: Sequence[int]) -> bool:
        rounded = [index for index in free if is_rounded(text, self._recorded[index].number)]
        unnumbered = [index for index in free if not self._recorded[index].number]
        index = next(iter([*rounded, *unnumbered, *free]))
        self._claimed_by[index] = claimed
        kind = Kind.SAME if rounded else Kind.TYPED_NUMBER if unnumbered else Kind.OTHER_NUMBER
        self._add(claimed, kind, index)
        return True

    def _match_rest(self, claimed: ClaimedRow) -> None:
        """Match a row whose request no free recorded row has."""
        same = self._by_key.get(claimed.key, ())
        if claimed.outcome not in _MAY_BE_BOUGHT:
            self._match_pending(claimed)
        elif same:
            self._add(claimed, Kind.REPEATED, same[0], others=(self._claimed_by[same[0]], claimed))
        elif claimed.outcome is Outcome.UNKNOWN and (index := self._find_unknown(claimed)) is not None:
            self._claimed_by[index] = claimed
            self._add(claimed, Kind.EDITED_UNKNOWN, index)
        else:
            shows_number = self._request.resource is PROMO_NUMBERS and normalize_text(claimed.texts.get(NUMBER, ""))
            is_doubtful = shows_number or self._request.scope(claimed.key) in self._free_scopes
            self._add(claimed, Kind.UNFOUNDED if is_doubtful else Kind.ADDED)

    def _match_pending(self, claimed: ClaimedRow) -> None:
        """Match a row that is to be sent: the corrected form of one that was not done, or a new one."""
        is_corrected = claimed.outcome is not None and self._free_counts[claimed.outcome] > 0
        if is_corrected and claimed.outcome is not None:
            self._free_counts[claimed.outcome] -= 1
        unknown = None if is_corrected or claimed.number else self._find_unknown(claimed)
        self._add(claimed, Kind.CORRECTED if unknown is None else Kind.REPLACES_UNKNOWN, unknown)

    @cached_property
    def _free_counts(self) -> Counter[Outcome]:
        """Outcome to the number of recorded rows that no row of the sheet stands for; asked once all others are."""
        return Counter(self._recorded[index].outcome for index in self._free(range(len(self._recorded))))

    @cached_property
    def _free_scopes(self) -> set[tuple[str, ...]]:
        """The scopes of recorded rows that may be done and that no row of the sheet stands for."""
        free = self._free(range(len(self._recorded)))
        done = (index for index in free if self._recorded[index].outcome in _MAY_BE_BOUGHT)
        return {self._request.scope(self._keys[index]) for index in done}

    @cached_property
    def _unknown_by_scope(self) -> dict[tuple[str, ...], list[int]]:
        by_scope: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for index in self._free(range(len(self._recorded))):
            if self._recorded[index].outcome is Outcome.UNKNOWN:
                by_scope[self._request.scope(self._keys[index])].append(index)
        return by_scope

    def _find_unknown(self, claimed: ClaimedRow) -> int | None:
        """The free recorded row of unknown outcome that a row resembles most."""
        counts = {
            index: count_differing(claimed.key, self._keys[index])
            for index in self._free(self._unknown_by_scope.get(self._request.scope(claimed.key), ()))
            if is_similar(claimed.key, self._keys[index])
        }
        return min(counts, key=lambda index: counts[index]) if counts else None

    def match_new(self, rows: Iterable[ClaimedRow]) -> None:
        """Match rows without results that may replace a recorded row, which the sheet no longer has."""
        for claimed in rows if self._unknown_by_scope else ():
            if claimed.key in self._by_key or self._request.name(claimed.texts):
                continue  # planning gives the row the outcome of its equal
            unknown = self._find_unknown(claimed)
            if unknown is not None:
                self._add(claimed, Kind.REPLACES_UNKNOWN, unknown)
