"""Validate and plan: read -> validate -> plan; nothing is sent."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from invoca_bulk import journal, planning, sheets, validation
from invoca_bulk.config.journal_location import resolve_journal_location
from invoca_bulk.config.network import Network, validate_version
from invoca_bulk.config.options import Options
from invoca_bulk.journal import Journal
from invoca_bulk.planning import PlanData, SavedPlan
from invoca_bulk.reports.plan_report import Plan
from invoca_bulk.reports.validation_report import Report
from invoca_bulk.service import preconditions, snapshot
from invoca_bulk.service.claims import check_claims
from invoca_bulk.validation import ValidatedBook


def validate_sheet(
    source: sheets.Source | Report | SavedPlan,
    *,
    api_version: str,
    auto_ids: bool = False,
    allow_unlisted: bool = False,
    allow_no_sites: bool = False,
    **read_arguments: str | None,
) -> Report:
    """Read and validate.

    A `Report` for the same API version and options is returned as it is; a saved plan contains its sheets.
    """
    validate_version(api_version)
    choices = {"auto_ids": auto_ids, "allow_unlisted": allow_unlisted, "allow_no_sites": allow_no_sites}
    if isinstance(source, Report):
        book = source.validated_book
        if (book.version, book.choices) == (api_version, choices):
            return source
        loaded = tuple(validated_sheet.sheet for validated_sheet in book.sheets)
    elif isinstance(source, SavedPlan):
        loaded = source.sheets
    else:
        loaded = sheets.load(source, **read_arguments)
    with sheets.gc_paused():
        return Report(validation.validate(loaded, version=api_version, **choices))


def plan_sheet(
    source: sheets.Source | Report, network: Network, options: Options, **read_arguments: str | None
) -> Plan:
    """Read, validate and plan; rows with errors are refused. The journal is read if there is one, and not needed."""
    report = validate_sheet(
        source,
        api_version=network.api_version,
        auto_ids=options.auto_ids,
        allow_unlisted=options.allow_unlisted,
        allow_no_sites=options.allow_no_sites,
        **read_arguments,
    )
    preconditions.require_same_network_form(network, options)
    preconditions.reject_sandbox_results(report, network)
    preconditions.reject_template_examples(report, network)
    report = check_claims(report, network, options)
    opened_journal: AbstractContextManager[Journal | None] = nullcontext()  # a rehearsal may be repeated freely
    if not network.rehearsal:
        opened_journal = journal.open_readonly(resolve_journal_location(options.journal), network)
    with opened_journal as prior_journal:
        plan = fetch_and_build_plan(report.validated_book, network, options, prior_journal)
    return Plan(
        data=plan, validated_book=report.validated_book, network=network, options=options, read_arguments=read_arguments
    )


def fetch_and_build_plan(
    validated_book: ValidatedBook, network: Network, options: Options, prior_journal: Journal | None = None
) -> PlanData:
    """Fetch the platform's state and decide what each row does.

    `prior_journal` knows what earlier runs bought; None: there is none.
    """
    scopes = planning.required_scopes(validated_book)
    platform_state = snapshot.fetch_state(scopes, network, options)
    purchases = prior_journal.purchases(planning.collection_paths(validated_book)) if prior_journal else []
    prior_purchases = planning.PriorPurchases(purchases, allow_claims=not options.again)
    flagged_ids = planning.ids_with_flags(validated_book)
    prior_writes = prior_journal.last_writes(flagged_ids) if prior_journal and flagged_ids else {}
    return planning.build_plan(validated_book, platform_state, options.plan_options, prior_purchases, prior_writes)
