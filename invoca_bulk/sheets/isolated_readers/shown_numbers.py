"""Whether a number's text in an ods is another text, such as 00042 for 42, or only another way to write the number."""

from __future__ import annotations

import re

#: Signs, brackets of negative numbers and currencies around a number.
_AROUND = re.compile(
    r"^(?:[-+\u2212(\s$\u20ac\u00a3\u00a5]|USD|CAD|EUR|GBP|MXN|AUD)+|(?:[)\s$\u20ac\u00a3\u00a5]|USD|CAD|EUR|GBP|MXN|AUD)+$"
)
_SEPARATORS = re.compile(r"[.,'\u2019\s]")
_SCIENTIFIC = re.compile(r"[0-9.,]+E[-+]?[0-9]+", re.IGNORECASE)


def is_other_text(number: float, shown: str) -> bool:
    """Whether somebody may take what is shown for the value. Fractions are left out: no id or phone number has one."""
    if not shown or not number.is_integer():
        return False
    digits = str(int(abs(number)))
    if shown == digits:
        return False
    core = _AROUND.sub("", shown)
    compact = _SEPARATORS.sub("", core)
    is_rewritten = compact.startswith(digits) and not compact[len(digits) :].strip("0")
    return not is_rewritten and not _SCIENTIFIC.fullmatch(core)
