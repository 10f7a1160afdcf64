"""How a run is wanted: the choices that are not about the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoca_bulk.errors import SettingInvalid
from invoca_bulk.planning import NESTED, Choices
from invoca_bulk.settings import FIRST_BACKOFF, SETTINGS, checked_number, from_environment, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run. Units and defaults stand in `settings.SETTINGS`.

    Attributes:
        skip_invalid: send the good rows although others have errors.
        nested: `merge`: users and sites that the sheet does not mention stay; `replace`: its set is sent alone.
        allow_removals: let `replace` take users and sites away.
        auto_ids: the network gives ids to advertisers that come without one.
        yes: do not ask before what cannot be undone.
        again: buy the numbers of a sheet once more that was run before.
        confirm: asks the user a question; None: nobody can be asked.
        journal: the folder of the journals; None: the user's own.
        progress: whether to show a progress bar.
        first_backoff: seconds to wait at most after a row's first refusal for now (429); doubles with each one.
    """

    skip_invalid: bool = False
    nested: str = "merge"
    allow_removals: bool = False
    auto_ids: bool = False
    yes: bool = False
    again: bool = False
    confirm: Callable[[str], bool] | None = None
    max_new_numbers: int | None = None
    concurrency: int = SETTINGS["concurrency"].default
    rate: float | None = None
    timeout: float = SETTINGS["timeout"].default
    journal: str | Path | None = None
    progress: bool = True
    first_backoff: float = FIRST_BACKOFF

    @property
    def choices(self) -> Choices:
        """What the plan depends on."""
        return Choices(nested=self.nested, allow_removals=self.allow_removals, auto_ids=self.auto_ids)

    def __post_init__(self) -> None:
        if self.nested not in NESTED:
            msg = f"{self.nested!r} is no way to treat users and sites. Use {' or '.join(NESTED)}."
            raise SettingInvalid(msg)
        if self.max_new_numbers is None and (cap := from_environment("max_new_numbers")) is not None:
            object.__setattr__(self, "max_new_numbers", whole_number("max_new_numbers", cap))
        for name in ("max_new_numbers", "concurrency", "rate", "timeout"):
            checked_number(name, getattr(self, name))
