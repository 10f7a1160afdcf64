"""Compares the claims of the sheets with the evidence, and makes the sheets that planning goes on with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from invoca_bulk import validation
from invoca_bulk.config.network import Network, describe_network
from invoca_bulk.config.options import Options
from invoca_bulk.planning import PlatformState, Scope
from invoca_bulk.reports.validation_report import Report
from invoca_bulk.schema import REMOVE_ACTION, Action
from invoca_bulk.schema.issue_catalog import Problem, Unshortened
from invoca_bulk.schema.outcomes import SUCCESS_OUTCOMES, Outcome
from invoca_bulk.service.claims import evidence as evidence_of
from invoca_bulk.service.claims.evidence import Evidence
from invoca_bulk.service.claims.matching import Kind, Match, match_rows
from invoca_bulk.service.claims.model import (
    NUMBER,
    OWN_ID,
    RUN,
    STATUS,
    ClaimedRow,
    RecordedRow,
    claimed_rows,
    column_headers,
)
from invoca_bulk.service.claims.rulings import Ruling, rule
from invoca_bulk.sheets import Sheet
from invoca_bulk.sheets.model import ReadIssue
from invoca_bulk.wording import count_of, limit_lines

#: The kinds of which no journal says anything, so that the platform's list has to.
_UNRECORDED_KINDS = frozenset({Kind.UNFOUNDED, Kind.ADDED, Kind.OTHER_NUMBER, Kind.TYPED_NUMBER, Kind.CORRECTED})
_MAX_EDITS_SHOWN = 20


def check_claims(report: Report, network: Network, options: Options, *, may_ask: bool = False) -> Report:
    """The report of the sheets as far as their claims are borne out.

    `may_ask`: ask whether rows that were edited since they were done are sent as updates.
    """
    book = report.validated_book
    sheets = [validated_sheet.sheet for validated_sheet in book.sheets]
    claiming = [index for index, sheet in enumerate(sheets) if _has_claims(sheet)]
    if not claiming:
        return report
    evidence = Evidence(network, options)
    rulings = {index: list(_SheetCheck(sheets[index], evidence).rulings()) for index in claiming}
    apply_edits = options.apply_edits or (may_ask and _ask(sheets, rulings, options))
    checked = [_apply(sheet, rulings.get(index, ()), apply_edits=apply_edits) for index, sheet in enumerate(sheets)]
    if all(new is old for new, old in zip(checked, sheets, strict=True)):
        return report
    return Report(validation.validate(checked, version=book.version, **book.choices))


def _has_claims(sheet: Sheet) -> bool:
    headers = column_headers(sheet)
    columns = [sheet.encode_column(headers[path]) for path in (STATUS, RUN) if path in headers]
    return any(text.strip() for _, texts in columns for text in texts)


def _ask(sheets: Sequence[Sheet], rulings: Mapping[int, Sequence[Ruling]], options: Options) -> bool:
    edited = [
        (sheets[index].describe_row(ruling.match.claimed.row), ruling.problem)
        for index, of_sheet in rulings.items()
        for ruling in of_sheet
        if ruling.cells_to_apply is not None
    ]
    if not edited or options.yes or options.confirm is None:
        return False
    lines = [f"  {row}: {problem.message}" for row, problem in edited if problem]
    shown = "\n".join(limit_lines(lines, _MAX_EDITS_SHOWN))
    return options.confirm(f"{count_of(len(edited), 'row')} done before and edited since:\n{shown}\nSend the edits?")


class _SheetCheck:
    """The check of one sheet."""

    def __init__(self, sheet: Sheet, evidence: Evidence) -> None:
        self._evidence = evidence
        self._resource = sheet.resource
        self._request, self._rows = claimed_rows(sheet)

    def rulings(self) -> Iterator[Ruling]:
        """What follows for the rows of which something follows."""
        again = self._evidence.options.again
        by_run: dict[str, list[ClaimedRow]] = defaultdict(list)
        for claimed in self._rows:
            if claimed.has_claim:
                by_run[claimed.run].append(claimed)
        new_rows = [claimed for claimed in self._rows if not claimed.has_claim]
        matches: list[Match] = []
        adrift: list[ClaimedRow] = []
        for run, rows in by_run.items():
            record = self._evidence.find_run(run) if run else None
            if record is None:
                adrift += rows
            elif not self._evidence.is_here(record):
                yield from (
                    _refuse_other_network(claimed, record.network_id, record.base_url, self._evidence.network)
                    for claimed in rows
                )
            else:
                recorded = self._evidence.recorded_rows(run, self._resource)
                matches += match_rows(self._request, rows, recorded, new_rows)
        if adrift:
            matches += self._match_adrift(adrift, matches)
        unrecorded = [match for match in matches if self._needs_platform(match)]
        yield from (rule(self._request, match, again=again) for match in matches if not self._needs_platform(match))
        yield from self._rule_by_platform([match.claimed for match in unrecorded], again=again)

    def _match_adrift(self, rows: Sequence[ClaimedRow], matches: Sequence[Match]) -> list[Match]:
        """Match rows that name no run that is known, with what all runs recorded of the same, or did not do."""
        matched = {id(match.recorded) for match in matches}
        keys = {claimed.key for claimed in rows}
        names = {name for claimed in rows if (name := self._request.name(claimed.texts))}
        recorded = [
            item
            for item in self._evidence.all_recorded_rows(self._resource)
            if id(item) not in matched
            and (
                item.outcome not in SUCCESS_OUTCOMES
                or self._request.name(item.texts) in names
                or self._request.key(item.texts) in keys
            )
        ]
        return match_rows(self._request, rows, recorded)

    def _needs_platform(self, match: Match) -> bool:
        if match.kind is Kind.TYPED_NUMBER:
            return match.claimed.outcome in SUCCESS_OUTCOMES
        is_adrift = not match.claimed.run or self._evidence.find_run(match.claimed.run) is None
        return is_adrift and (match.kind in _UNRECORDED_KINDS or _is_of_another_run(match))

    def _rule_by_platform(self, rows: Sequence[ClaimedRow], *, again: bool) -> Iterator[Ruling]:
        """Believe what the platform's lists show."""
        done = [claimed for claimed in rows if claimed.outcome in SUCCESS_OUTCOMES]
        scopes = {claimed.position: evidence_of.scope_of(self._resource, claimed) for claimed in done}
        states = self._evidence.fetch_state(scope for scope in scopes.values() if scope is not None)
        listed = {claimed.position: self._find_listed(claimed, scopes[claimed.position], states) for claimed in done}
        rows_by_number: dict[str, list[ClaimedRow]] = defaultdict(list)
        for claimed in self._rows:
            recorded = listed.get(claimed.position)
            rows_by_number[recorded.number if recorded else claimed.number].append(claimed)
        for claimed in done:
            yield self._rule_listed(claimed, listed[claimed.position], rows_by_number, again=again)

    def _find_listed(
        self, claimed: ClaimedRow, scope: Scope | None, states: Mapping[Scope, PlatformState]
    ) -> RecordedRow | None:
        state = None if scope is None else states[scope]
        return evidence_of.find_on_platform(self._resource, claimed, state, self._evidence.network.api_version)

    def _rule_listed(
        self,
        claimed: ClaimedRow,
        listed: RecordedRow | None,
        rows_by_number: Mapping[str, Sequence[ClaimedRow]],
        *,
        again: bool,
    ) -> Ruling:
        action = claimed.texts.get("action", "").strip().casefold()
        is_gone = claimed.outcome is Outcome.DELETED or action in {Action.DELETE, REMOVE_ACTION}
        if (listed is None) != is_gone:
            return _refuse_not_there(claimed)
        if listed is None:
            return Ruling(match=Match(claimed=claimed, kind=Kind.CORRECTED))
        others = rows_by_number[listed.number] if listed.number else ()
        if len(others) > 1:
            match = Match(claimed=claimed, kind=Kind.REPEATED, recorded=listed, others=tuple(others))
            return rule(self._request, match, again=again)
        return rule(self._request, self._compare(claimed, listed), again=again)

    def _compare(self, claimed: ClaimedRow, listed: RecordedRow) -> Match:
        """Compare a row with its object, as far as the platform shows the values that a row can have."""
        shown = {path: text for path, text in listed.texts.items() if path in claimed.texts}
        recorded = replace(listed, run=claimed.run, texts={**claimed.texts, **shown})
        kind = Kind.EDITED if self._request.differing_paths(claimed, recorded) else Kind.SAME
        return Match(claimed=claimed, kind=kind, recorded=recorded)


def _is_of_another_run(match: Match) -> bool:
    """Whether a row that names no known run is matched with a run of another outcome, which says nothing of it."""
    is_done = match.claimed.outcome in SUCCESS_OUTCOMES
    return bool(is_done and match.recorded and match.recorded.outcome is not match.claimed.outcome)


def _refuse_other_network(claimed: ClaimedRow, network_id: str, base_url: str, network: Network) -> Ruling:
    details = {
        "value": claimed.status_text,
        "run": claimed.run,
        "other": describe_network(network_id, base_url),
        "network": network.label,
    }
    match = Match(claimed=claimed, kind=Kind.UNFOUNDED)
    return Ruling(match=match, problem=Problem(code="claim_of_other_network", details=details))


def _refuse_not_there(claimed: ClaimedRow) -> Ruling:
    name = claimed.texts.get(NUMBER) or claimed.texts.get(OWN_ID)
    reason = "the row does not say which object it is about"
    if name:
        verb = "still has" if claimed.outcome is Outcome.DELETED else "does not have"
        reason = f"the platform {verb} {name} where the row says"
    details = {"value": claimed.status_text, "run": claimed.run or "not named", "reason": Unshortened(reason)}
    match = Match(claimed=claimed, kind=Kind.UNFOUNDED)
    return Ruling(match=match, problem=Problem(code="claim_not_on_platform", details=details))


def _apply(sheet: Sheet, rulings: Sequence[Ruling], *, apply_edits: bool) -> Sheet:
    """The sheet with the rulings' cells and problems; the same sheet if they have none."""
    cells: dict[str, dict[int, str]] = defaultdict(dict)
    problems: dict[int, Problem] = {}
    for ruling in rulings:
        is_applied = apply_edits and ruling.cells_to_apply is not None
        new_cells = (ruling.cells_to_apply or {}) if is_applied else ruling.cells
        position = ruling.match.claimed.position
        for path, text in new_cells.items():
            cells[path][position] = text
        if ruling.problem and not is_applied:
            problems[position] = ruling.problem
    if not cells and not problems:
        return sheet
    frame, headers = sheet.frame.copy(), column_headers(sheet)
    for path, text_by_position in cells.items():
        header = headers.setdefault(path, path)
        texts = frame[header].tolist() if header in frame.columns else [""] * len(frame)
        for position, text in text_by_position.items():
            texts[position] = text
        frame[header] = pd.Series(texts, index=frame.index, dtype=frame.dtypes.iloc[0])
    header = headers.get(STATUS) or headers[RUN]
    status_texts = frame[header].tolist()
    issues = [
        ReadIssue(
            row=int(frame.index[position]),
            column=header,
            problem=replace(problem, details={**problem.details, "value": status_texts[position]}),
        )
        for position, problem in problems.items()
    ]
    return replace(sheet, frame=frame, read_issues=(*sheet.read_issues, *issues))
