"""How to plan and run a sheet: everything that is not about the network."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from invoca_bulk.config.journal_location import Database, JournalLocation, resolve_journal_location
from invoca_bulk.config.network import Network
from invoca_bulk.config.settings import (
    INITIAL_BACKOFF_SECONDS,
    SANDBOX_SETTLE_SECONDS,
    SETTINGS,
    parse_number,
    setting_from_environment,
    validate_number,
)
from invoca_bulk.errors import ConfigError
from invoca_bulk.wording import option, setting

#: Options that an environment variable sets where the caller does not, and their types.
_ENVIRONMENT_OPTION_TYPES: Mapping[str, type[int | float]] = {"max_new_numbers": int, "settle": float}

#: What an update does with users and sites that an advertiser has and the sheet does not mention.
NESTED_MODES = ("merge", "replace")


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """The options that a plan depends on; a run that is resumed keeps those it began with."""

    nested: str = "merge"  # `merge`: users and sites that the sheet does not mention stay; `replace`: they are removed
    allow_removals: bool = False  # whether `replace` may remove users and sites
    auto_ids: bool = False  # whether the network assigns ids to advertisers that come without one
    allow_unlisted: bool = False  # whether media types and promo types may be outside the published lists
    allow_no_sites: bool = False  # whether advertisers may be left without a site


PLAN_OPTION_NAMES = tuple(field.name for field in fields(PlanOptions))


@dataclass(frozen=True, kw_only=True)
class ExecutionPolicy:
    """How the executor and the reconciler treat a run's requests."""

    settle_seconds: float = SETTINGS["settle"].default  # after it, a request in doubt was applied or never will be
    resend_absent: bool = False  # send a create again that was not found after that time
    resend_unknown: bool = False  # send a create again whose outcome could not be determined
    max_failures: int | None = None  # stop after this many failed steps; None: never
    first_backoff_seconds: float = INITIAL_BACKOFF_SECONDS  # longest wait after a step's first 429; doubles each time
    treat_429_as_ambiguous: bool = False  # after a 429, check whether the number was created before retrying


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to plan and run.

    Attributes:
        skip_invalid: send the valid rows although others have errors.
        nested: `merge`: users and sites that the sheet does not mention stay; `replace`: they are removed.
        allow_removals: let `replace` remove users and sites.
        auto_ids: the network assigns ids to advertisers that come without one.
        allow_unlisted: send media types and promo types that are not in the published lists.
        allow_no_sites: create advertisers without a site, and let rows remove the last one; the platform decides.
        yes: do not ask before something that cannot be undone.
        again: start over instead of resuming an interrupted run, and buy again what earlier runs have bought.
        apply_edits: send rows that were done before and edited since as updates.
        resend_absent: send creates again that got no response and that the platform does not list.
        resend_unknown: send creates again whose outcome could not be determined; check the platform first.
        assign_ids: give each new number that has no `id_from_network` one, so that it can be looked up by it.
        doubt_refusals: after a 429, check whether the number was created before retrying.
        confirm: asks the user a question and returns the answer; None: nobody can be asked.
        ask_text: asks the user to type something and returns it; None: `confirm` has to do.
        say: shows the user a sentence before and during a run; None: on standard error.
        max_new_numbers: refuse to buy more numbers than this; None: `INVOCA_MAX_NEW_NUMBERS`, or no limit.
        max_failures: stop after this many failed requests: a number, or a share such as `5%`; None: never.
        settle: seconds to wait before looking up a request that got no response; None: `INVOCA_SETTLE`, or 120.
        concurrency: maximum number of requests in flight.
        rate: maximum requests per second; None: no client-side limit.
        timeout: seconds to wait for a response.
        journal: where the journals are: a folder, or `postgresql://…`; None: `INVOCA_JOURNAL`, or your user state
            directory.
        progress: show a progress bar.
        plain_csv: write a `.csv` for programs: cells as they are, also those that a spreadsheet runs as a formula.
        cluster: let workers execute the run and follow it; needs a journal on PostgreSQL.
        detach: with `cluster`: do not follow the run.
        first_backoff: longest wait in seconds after a row's first rejection by the rate limit; doubles each time.
    """

    skip_invalid: bool = False
    nested: str = "merge"
    allow_removals: bool = False
    auto_ids: bool = False
    allow_unlisted: bool = False
    allow_no_sites: bool = False
    yes: bool = False
    again: bool = False
    apply_edits: bool = False
    resend_absent: bool = False
    resend_unknown: bool = False
    assign_ids: bool = False
    doubt_refusals: bool = False
    confirm: Callable[[str], bool] | None = None
    ask_text: Callable[[str], str] | None = None
    say: Callable[[str], None] | None = None
    max_new_numbers: int | None = None
    max_failures: int | str | None = None
    settle: float | None = None
    concurrency: int = SETTINGS["concurrency"].default
    rate: float | None = None
    timeout: float = SETTINGS["timeout"].default
    journal: str | JournalLocation | None = None
    progress: bool = True
    plain_csv: bool = False
    cluster: bool = False
    detach: bool = False
    first_backoff: float = INITIAL_BACKOFF_SECONDS

    @property
    def plan_options(self) -> PlanOptions:
        """The options that a plan depends on."""
        return PlanOptions(**{name: getattr(self, name) for name in PLAN_OPTION_NAMES})

    def __post_init__(self) -> None:
        if self.nested not in NESTED_MODES:
            raise ConfigError(f"Invalid value for nested: {self.nested!r}. Use {' or '.join(NESTED_MODES)}.")
        if isinstance(self.journal, str):
            location = resolve_journal_location(self.journal)
            if isinstance(location, Database):
                object.__setattr__(self, "journal", location)  # the text may contain a password
        for name, number_type in _ENVIRONMENT_OPTION_TYPES.items():
            if getattr(self, name) is None and isinstance(text := setting_from_environment(name), str):
                object.__setattr__(self, name, parse_number(name, text, number_type))
        for name in ("max_new_numbers", "concurrency", "rate", "timeout", "settle"):
            validate_number(name, getattr(self, name))
        self.failure_limit(1)
        if self.detach and not self.cluster:
            raise ConfigError(f"{option('detach')} needs {option('cluster')}: only workers continue on their own.")

    def settle_seconds_for(self, network: Network) -> float:
        """Seconds after which a request in doubt has been applied, or never will be."""
        default = SANDBOX_SETTLE_SECONDS if network.rehearsal else SETTINGS["settle"].default
        return default if self.settle is None else self.settle

    def execution_policy(self, network: Network, step_count: int) -> ExecutionPolicy:
        """How a run of this many steps is executed on a network."""
        return ExecutionPolicy(
            settle_seconds=self.settle_seconds_for(network),
            resend_absent=self.resend_absent,
            resend_unknown=self.resend_unknown,
            max_failures=self.failure_limit(step_count),
            first_backoff_seconds=self.first_backoff,
            treat_429_as_ambiguous=self.doubt_refusals,
        )

    def failure_limit(self, step_count: int) -> int | None:
        """The number of failed steps that stops a run of this many steps; None: no number does.

        Raises:
            ConfigError: `max_failures` is neither a number nor a share.
        """
        if self.max_failures is None:
            return None
        match = re.fullmatch(r"\s*([0-9]+)\s*(%?)\s*", str(self.max_failures))
        number = int(match[1]) if match else 0
        if not match or number < 1:
            msg = f"{setting('max_failures')} is {self.max_failures!r}. Give a number of rows or a share: 20 or 5%."
            raise ConfigError(msg)
        return max(1, math.ceil(step_count * number / 100)) if match[2] else number
