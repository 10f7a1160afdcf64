"""What follows for a row of the sheet from what is recorded about it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from invoca_bulk.schema import Action, payloads
from invoca_bulk.schema.field_types import normalize_text
from invoca_bulk.schema.issue_catalog import Problem, Unshortened
from invoca_bulk.schema.outcomes import SUCCESS_OUTCOMES, Outcome
from invoca_bulk.service.claims.matching import Kind, Match
from invoca_bulk.service.claims.model import NUMBER, RUN, STATUS, RecordedRow, Request, Undo, number_form
from invoca_bulk.sheets.row_labels import format_label
from invoca_bulk.wording import join_limited, remedy

#: How many changed cells a sentence names.
_MAX_CELLS_NAMED = 5
_ACTION = "action"


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """What the next stages get instead of the row as it is."""

    match: Match
    cells: Mapping[str, str] = field(default_factory=dict)  # path to the text that replaces the row's
    problem: Problem | None = None  # an error refuses the row
    #: Path to text with which the row is sent as an update, if the user wants that; None: it is not edited.
    cells_to_apply: Mapping[str, str] | None = None


def rule(request: Request, match: Match, *, again: bool) -> Ruling:
    """Decide on one row; `again`: rows without a status are bought again."""
    recorded, has_status = match.recorded, bool(match.claimed.status_text.strip())
    if has_status and match.claimed.outcome is None:
        return Ruling(match=match)  # validation says that there is no such outcome
    if recorded and recorded.undo and has_status and match.kind in {Kind.SAME, Kind.EDITED}:
        return _refuse_undone(match, recorded, recorded.undo)
    is_sent_anyway = match.kind is Kind.SAME and not has_status and (again or match.claimed.number)
    if is_sent_anyway or (match.kind is Kind.REPLACES_UNKNOWN and again):
        return Ruling(match=match)
    return _RULES[match.kind](request, match)


def _refuse(match: Match, code: str, **details: object) -> Ruling:
    details = {"value": match.claimed.status_text, **details}
    return Ruling(match=match, problem=Problem(code=code, details=details))


def _refuse_undone(match: Match, recorded: RecordedRow, undo: Undo) -> Ruling:
    """A row that changed an object needs its number to change it again; without it, the row would buy one."""
    again = "To send it again, clear its result columns."
    if undo.is_deletion:
        is_created = recorded.outcome is Outcome.CREATED
        again = f"{again.removesuffix('.')} and what the platform assigned (promo_number)." if is_created else ""
    suggestion = Unshortened(f"Remove the row. {again}".rstrip())
    return _refuse(match, "claim_undone", run=recorded.run, other=undo.run, suggestion=suggestion)


def _recorded(match: Match) -> RecordedRow:
    assert match.recorded is not None  # noqa: S101  kinds that are ruled by it always have one
    return match.recorded


def _rule_same(_: Request, match: Match) -> Ruling:
    """Keep a claim that is borne out, with what the recorded row shows beside it."""
    claimed, recorded = match.claimed, _recorded(match)
    text = claimed.status_text
    is_blank = not text.strip()
    is_known = recorded.outcome in SUCCESS_OUTCOMES or recorded.outcome is Outcome.UNKNOWN
    if is_blank and not is_known:
        return Ruling(match=match)
    # A row that a run has settled since is still `unknown` in its results; planning takes the number.
    is_settled = claimed.outcome is Outcome.UNKNOWN and recorded.outcome in SUCCESS_OUTCOMES
    if not is_blank and claimed.outcome is not recorded.outcome and not is_settled and is_known:
        return _contradict(match)
    if claimed.outcome in {*SUCCESS_OUTCOMES, Outcome.UNKNOWN} and not is_known:
        return _contradict(match)
    cells = _assigned_cells(match) if recorded.outcome in SUCCESS_OUTCOMES else {}
    status = text if is_settled or not is_known else recorded.outcome.value
    if is_settled:
        cells = {}
    cells |= {STATUS: status, RUN: recorded.run}
    changed = {path: new for path, new in cells.items() if new != claimed.texts.get(path)}
    shown = {path: new for path, new in changed.items() if _is_told(claimed.texts.get(path, ""), new)}
    if not shown:
        return Ruling(match=match, cells=changed)
    what = Unshortened(", ".join(f"{path} {new}" for path, new in shown.items()))
    details = {"value": status, "run": recorded.run, "what": what}
    return Ruling(match=match, cells=changed, problem=Problem(code="claim_restored", details=details))


def _is_told(old: str, new: str) -> bool:
    """Whether a replaced text is worth a warning: more than its case or the spaces around it changes."""
    return normalize_text(old).casefold() != new


def _assigned_cells(match: Match) -> dict[str, str]:
    """What the platform assigned, where the row lacks it or has it in another form."""
    claimed, recorded = match.claimed, _recorded(match)
    cells = {}
    for path in payloads.ASSIGNED_FIELDS:
        old, new = claimed.texts.get(path, ""), recorded.texts.get(path, "")
        is_same = path == NUMBER and old.strip().isdigit() and number_form(old) == recorded.number
        if new and old != new and not is_same and (path == NUMBER or path in claimed.texts):
            cells[path] = new
    return cells


def _contradict(match: Match) -> Ruling:
    recorded = _recorded(match)
    return _refuse(match, "claim_contradicted", run=recorded.run, outcome=recorded.outcome.value)


def _rule_edited(request: Request, match: Match) -> Ruling:
    """Tell what was edited; the row keeps what the run sent unless the edits are applied."""
    claimed, recorded = match.claimed, _recorded(match)
    if claimed.outcome not in SUCCESS_OUTCOMES:
        return _rule_edited_pending(request, match)
    if recorded.outcome not in SUCCESS_OUTCOMES:
        return _contradict(match)
    differing = request.differing_paths(claimed, recorded)
    if set(differing).intersection(request.scope_paths):
        what = _describe_edits(match, [path for path in differing if path in request.scope_paths])
        return _refuse(match, "claim_elsewhere", run=recorded.run, what=what)
    old_cells = {path: recorded.texts.get(path, "") for path in differing}
    new_cells = {STATUS: ""}
    if claimed.texts.get(_ACTION, "").strip().casefold() == Action.CREATE and _ACTION not in differing:
        new_cells[_ACTION] = ""
    details = {"value": claimed.status_text, "run": recorded.run, "what": _describe_edits(match, differing)}
    return Ruling(
        match=match,
        cells=old_cells | _assigned_cells(match),
        problem=Problem(code="row_edited", details=details),
        cells_to_apply=new_cells,
    )


def _rule_edited_pending(request: Request, match: Match) -> Ruling:
    """Leave a row that is to be sent, unless the number of another row was typed into an unknown one."""
    is_number_of_other = match.claimed.outcome is Outcome.UNKNOWN and match.claimed.number
    if is_number_of_other and _recorded(match).outcome in SUCCESS_OUTCOMES:
        return _rule_moved(request, match)
    return Ruling(match=match)


def _describe_edits(match: Match, differing: list[str]) -> Unshortened:
    """`2 cells edited since: description 'a' -> 'b', media_type 'c' -> 'd'`."""
    recorded = _recorded(match)
    edits = [f"{path} {recorded.texts.get(path, '')!r} -> {match.claimed.texts.get(path, '')!r}" for path in differing]
    return Unshortened(join_limited(edits, _MAX_CELLS_NAMED))


def _rule_edited_unknown(request: Request, match: Match) -> Ruling:
    """Look a request up by what was sent, whatever the row says now."""
    recorded = _recorded(match)
    differing = request.differing_paths(match.claimed, recorded)
    details = {
        "value": match.claimed.status_text,
        "run": recorded.run,
        "what": _describe_edits(match, differing),
    }
    cells = {path: recorded.texts.get(path, "") for path in differing} | {RUN: recorded.run}
    return Ruling(match=match, cells=cells, problem=Problem(code="unsettled_row_edited", details=details))


def _rule_moved(request: Request, match: Match) -> Ruling:
    recorded = _recorded(match)
    label = recorded.texts.get(NUMBER) or recorded.texts.get(request.name_paths[-1], "")
    what = _describe_edits(match, request.differing_paths(match.claimed, recorded))
    return _refuse(match, "claim_moved", number=label, run=recorded.run, what=what, resume=_results(recorded.run))


def _results(run: str) -> Unshortened:
    return Unshortened(str(remedy("results", "output=results.xlsx", subject=run)))


def _rule_repeated(request: Request, match: Match) -> Ruling:
    recorded = _recorded(match)
    rows = request.labels.name_all([claimed.row for claimed in match.others])
    what = f"row of run {recorded.run}" if recorded.run else "number on the platform"
    return _refuse(match, "claim_repeated", rows=rows, what=what)


def _rule_other_number(_: Request, match: Match) -> Ruling:
    recorded = _recorded(match)
    if not SUCCESS_OUTCOMES.intersection({recorded.outcome, match.claimed.outcome}):
        return Ruling(match=match)  # nobody was given the number that the run was told, and it has been corrected
    number = recorded.texts.get(NUMBER) or "none"
    shown = match.claimed.texts.get(NUMBER, "")
    return _refuse(match, "claim_other_number", run=recorded.run, number=number, shown=shown)


def _rule_unfounded(_: Request, match: Match) -> Ruling:
    run = match.recorded.run if match.recorded else match.claimed.run
    return _refuse(match, "claim_unfounded", run=run or "not named", resume=_results(run))


def _rule_added(_: Request, match: Match) -> Ruling:
    """A copied row that asks for something else is a new request."""
    if match.claimed.outcome is Outcome.UNKNOWN:
        return _rule_unfounded(_, match)
    cells = {path: "" for path in (STATUS, RUN) if path in match.claimed.texts}
    problem = Problem(code="claim_dropped", details={"value": "", "run": match.claimed.run})
    return Ruling(match=match, cells=cells, problem=problem)


def _rule_replaces_unknown(_: Request, match: Match) -> Ruling:
    recorded = _recorded(match)
    resume = Unshortened(str(remedy("resume", subject=recorded.run)))
    return _refuse(match, "replaces_unsettled_row", run=recorded.run, row=format_label(recorded.row), resume=resume)


def _keep(_: Request, match: Match) -> Ruling:
    return Ruling(match=match)


_RULES: Mapping[Kind, Callable[[Request, Match], Ruling]] = {
    Kind.SAME: _rule_same,
    Kind.EDITED: _rule_edited,
    Kind.EDITED_UNKNOWN: _rule_edited_unknown,
    Kind.MOVED: _rule_moved,
    Kind.REPEATED: _rule_repeated,
    Kind.OTHER_NUMBER: _rule_other_number,
    Kind.TYPED_NUMBER: _keep,  # planning settles the row with it
    Kind.UNFOUNDED: _rule_unfounded,
    Kind.ADDED: _rule_added,
    Kind.CORRECTED: _keep,
    Kind.REPLACES_UNKNOWN: _rule_replaces_unknown,
}
