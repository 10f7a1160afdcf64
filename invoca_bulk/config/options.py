"""How a run is wanted: the choices that are not about the network."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoca_bulk.config.settings import (
    INITIAL_BACKOFF_SECONDS,
    SANDBOX_SETTLE_SECONDS,
    SETTINGS,
    Database,
    parse_number,
    resolve_journal_location,
    setting_from_environment,
    validate_number,
)
from invoca_bulk.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from invoca_bulk.config.settings import JournalLocation, Network

#: Options that an environment variable gives where the caller does not, and their types.
_ENVIRONMENT_OPTION_TYPES: Mapping[str, type[int | float]] = {"max_new_numbers": int, "settle": float}


#: Ways to treat the users and sites that an advertiser has and the sheet does not mention.
NESTED_MODES = ("merge", "replace")


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """What the user has decided about a plan.

    Attributes:
        nested: `merge`: users and sites that the sheet does not mention stay; `replace`: its set is sent alone.
        allow_removals: whether `replace` may take users and sites away.
        auto_ids: whether the network gives ids to advertisers that come without one.
    """

    nested: str = "merge"
    allow_removals: bool = False
    auto_ids: bool = False


@dataclass(frozen=True, kw_only=True)
class ExecutionPolicy:
    """How to go about it.

    Attributes:
        settle_seconds: seconds after which a request in doubt has been applied, or never will be.
        resend_absent: send creates again that were not found after that time.
        resend_unknown: send creates again of which it could not be told either.
        max_failures: stop once so many steps were not done; None: never.
        first_backoff_seconds: seconds to wait at most after a first refusal.
        treat_429_as_ambiguous: take 429 for no proof that a create was not applied.
    """

    settle_seconds: float = SETTINGS["settle"].default
    resend_absent: bool = False
    resend_unknown: bool = False
    max_failures: int | None = None
    first_backoff_seconds: float = INITIAL_BACKOFF_SECONDS
    treat_429_as_ambiguous: bool = False


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run. Units and defaults stand in `settings.SETTINGS`.

    Attributes:
        skip_invalid: send the good rows although others have errors.
        nested: `merge`: users and sites that the sheet does not mention stay; `replace`: its set is sent alone.
        allow_removals: let `replace` take users and sites away.
        auto_ids: the network gives ids to advertisers that come without one.
        yes: do not ask before what cannot be undone.
        again: start anew what was interrupted, and buy once more what earlier runs have bought.
        resend_absent: send creates again whose request got no answer and which the platform does not show.
        resend_unknown: send creates again of which it could not be told either; look at the platform first.
        assign_ids: give new numbers that come without an id of your own one, so that they can be looked up by it.
        doubt_refusals: take 429 for no proof that a number was not created.
        confirm: asks the user a question; None: nobody can be asked.
        say: tells the user a sentence before and during a run; None: on standard error.
        journal: where the journals are: a folder, or `postgresql://…`; None: the user's own place.
        progress: whether to show a progress bar.
        cluster: have workers do it (`invoca-bulk worker`), which share a journal on PostgreSQL, and follow them.
        detach: with `cluster`: do not follow them.
        first_backoff: seconds to wait at most after a row's first refusal for now (429); doubles with each one.
    """

    skip_invalid: bool = False
    nested: str = "merge"
    allow_removals: bool = False
    auto_ids: bool = False
    yes: bool = False
    again: bool = False
    resend_absent: bool = False
    resend_unknown: bool = False
    assign_ids: bool = False
    doubt_refusals: bool = False
    confirm: Callable[[str], bool] | None = None
    say: Callable[[str], None] | None = None
    max_new_numbers: int | None = None
    max_failures: int | str | None = None
    settle: float | None = None
    concurrency: int = SETTINGS["concurrency"].default
    rate: float | None = None
    timeout: float = SETTINGS["timeout"].default
    journal: str | JournalLocation | None = None
    progress: bool = True
    cluster: bool = False
    detach: bool = False
    first_backoff: float = INITIAL_BACKOFF_SECONDS

    @property
    def choices(self) -> PlanOptions:
        """What the plan depends on."""
        return PlanOptions(nested=self.nested, allow_removals=self.allow_removals, auto_ids=self.auto_ids)

    def __post_init__(self) -> None:
        if self.nested not in NESTED_MODES:
            msg = f"{self.nested!r} is no way to treat users and sites. Use {' or '.join(NESTED_MODES)}."
            raise ConfigError(msg)
        if isinstance(self.journal, str) and isinstance(place := resolve_journal_location(self.journal), Database):
            object.__setattr__(self, "journal", place)  # the text may hold a password
        for name, kind in _ENVIRONMENT_OPTION_TYPES.items():
            if getattr(self, name) is None and isinstance(text := setting_from_environment(name), str):
                object.__setattr__(self, name, parse_number(name, text, kind))
        for name in ("max_new_numbers", "concurrency", "rate", "timeout", "settle"):
            validate_number(name, getattr(self, name))
        self.failure_limit(1)
        if self.detach and not self.cluster:
            raise ConfigError("--detach (detach=True) goes with --cluster (cluster=True): only workers go on alone.")

    def settle_seconds_for(self, network: Network) -> float:
        """Seconds after which a request in doubt was applied, or never will be."""
        default = SANDBOX_SETTLE_SECONDS if network.rehearsal else SETTINGS["settle"].default
        return default if self.settle is None else self.settle

    def execution_policy(self, network: Network, step_count: int) -> ExecutionPolicy:
        """How a run of so many steps is executed on a network."""
        return ExecutionPolicy(
            settle_seconds=self.settle_seconds_for(network),
            resend_absent=self.resend_absent,
            resend_unknown=self.resend_unknown,
            max_failures=self.failure_limit(step_count),
            first_backoff_seconds=self.first_backoff,
            treat_429_as_ambiguous=self.doubt_refusals,
        )

    def failure_limit(self, step_count: int) -> int | None:
        """So many steps that were not done stop a run of so many; None: no number does.

        Raises:
            ConfigError: `max_failures` is neither a number nor a share.
        """
        if self.max_failures is None:
            return None
        found = re.fullmatch(r"\s*([0-9]+)\s*(%?)\s*", str(self.max_failures))
        number = int(found[1]) if found else 0
        if not found or number < 1:
            wanted = "Give a number of rows, or a share: 20 or 5%."
            raise ConfigError(f"--max-failures (max_failures=…) is {self.max_failures!r}. {wanted}")
        return max(1, math.ceil(step_count * number / 100)) if found[2] else number
