"""The style sheet of all displays.

Every rule is scoped to the class `invoca-bulk`, repeated so that it outranks JupyterLab's own rules for tables. Both
themes set text and background colours together, so that displays are readable on any background; contrasts are at
least 4.5 to 1 for text, which `test_html` calculates from this text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Name to colour in the light and in the dark theme; as CSS, the variables are `--ib-…`.
_COLORS: Mapping[str, tuple[str, str]] = {
    "back": ("#ffffff", "#111418"),
    "text": ("#1f2328", "#e3e8ee"),
    "muted": ("#59636e", "#9aa5b1"),
    "line": ("#c9d1d9", "#3c454f"),
    "head": ("#eef1f4", "#222930"),
    "ok-back": ("#d5f2dc", "#113a20"),
    "ok-text": ("#0b5223", "#9fe6b4"),
    "ok-bar": ("#2c8a47", "#3fa45c"),
    "warning-back": ("#fdeeb5", "#3f3204"),
    "warning-text": ("#614600", "#f5d773"),
    "warning-bar": ("#b98a00", "#c99b1d"),
    "error-back": ("#ffd9dc", "#4c151c"),
    "error-text": ("#8c0a1b", "#ffb9c0"),
    "error-bar": ("#cf2f41", "#e0525f"),
}
LIGHT_COLORS = {name: light for name, (light, _) in _COLORS.items()}
_DARK_COLORS = {name: dark for name, (_, dark) in _COLORS.items()}
_CSS_RULES = """
& { background: var(--ib-back); color: var(--ib-text); font: 13px/1.45 system-ui, sans-serif; text-align: left;
  padding: 4px 8px; max-width: 100%; box-sizing: border-box; overflow-wrap: break-word; }
& p, & ul { margin: 6px 0; color: inherit; font-size: inherit; line-height: inherit; }
& section { margin: 10px 0; }
& .ib-heading { font-size: 14px; }
& .ib-title { font-weight: 600; margin-bottom: 2px; display: inline-block; padding: 1px 6px 1px 0; }
& .ib-title.ib-ok, & .ib-title.ib-warning, & .ib-title.ib-error { padding: 1px 6px; border-radius: 3px; }
& .ib-lines { padding-left: 22px; list-style: disc; }
& .ib-counts { padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: 6px; }
& .ib-counts li { padding: 2px 8px; margin: 0; border: 1px solid var(--ib-line); border-radius: 10px; }
& .ib-box { overflow: auto; width: fit-content; max-width: 100%; max-height: 520px; box-sizing: border-box;
  border: 1px solid var(--ib-line); }
& .ib-box:focus-visible { outline: 2px solid currentColor; outline-offset: 1px; }
& table { border-collapse: separate; border-spacing: 0; margin: 0; width: auto; table-layout: auto; border: 0;
  color: inherit; font-size: inherit; }
& table caption { caption-side: top; text-align: left; font-weight: 600; padding: 4px 8px; color: inherit;
  position: sticky; left: 0; }
& table tr, & table tbody tr:nth-child(n), & table tbody tr:nth-child(n):hover, & table thead {
  background: transparent; border: 0; }
& table th, & table td { text-align: left; vertical-align: top; padding: 3px 8px; max-width: 340px; border: 0;
  border-top: 1px solid var(--ib-line); white-space: pre-wrap; color: inherit; font-weight: normal; }
& table th, & table thead th { background: var(--ib-head); }
& table thead th { font-weight: 600; white-space: nowrap; position: sticky; top: 0; z-index: 1; }
& table tbody th { position: sticky; left: 0; white-space: nowrap; }
& table td.ib-notes { min-width: 260px; max-width: 420px; }
& table td.ib-wrap { min-width: 220px; }
& .ib-muted, & table .ib-muted { color: var(--ib-muted); }
& .ib-bold, & table .ib-bold { font-weight: 600; }
& .ib-ok, & table .ib-ok { background: var(--ib-ok-back); color: var(--ib-ok-text); }
& .ib-warning, & table .ib-warning { background: var(--ib-warning-back); color: var(--ib-warning-text); }
& .ib-error, & table .ib-error { background: var(--ib-error-back); color: var(--ib-error-text); }
& b.ib-error, & b.ib-warning, & b.ib-ok { padding: 0 4px; border-radius: 3px; white-space: nowrap; }
& code { background: var(--ib-head); color: inherit; padding: 0 4px; font-size: 12px; white-space: pre-wrap; }
& svg { display: block; max-width: 100%; height: auto; margin: 6px 0; }
& svg text { fill: currentColor; font: 13px system-ui, sans-serif; }
& svg .ib-ok-bar { fill: var(--ib-ok-bar); }
& svg .ib-warning-bar { fill: var(--ib-warning-bar); }
& svg .ib-error-bar { fill: var(--ib-error-bar); }
& svg .ib-muted { fill: var(--ib-muted); }
"""


def follow_system_theme(css: str) -> str:
    """CSS whose rules for JupyterLab's dark theme also apply outside JupyterLab when the system theme is dark.

    These rules start with `body[data-jp-theme-light="false"]`; the braces in them are not nested.
    """
    return re.sub(
        r'body\[data-jp-theme-light="false"\]([^{}]*\{[^{}]*\})',
        r"\g<0>\n@media (prefers-color-scheme: dark) { body:not([data-jp-theme-light])\1 }",
        css,
    )


def _build_style_sheet() -> str:
    scope = ".invoca-bulk.invoca-bulk"
    light, dark = (
        " ".join(f"--ib-{name}: {color};" for name, color in colors.items()) for colors in (LIGHT_COLORS, _DARK_COLORS)
    )
    themes = (
        f"{scope} {{ color-scheme: light; {light} }}\n"
        f'body[data-jp-theme-light="false"] {scope} {{ color-scheme: dark; {dark} }}'
    )
    return follow_system_theme(themes) + _CSS_RULES.replace("&", scope)


#: The content of a `<style>` element; `markup.container` adds it to each display.
STYLE_SHEET = _build_style_sheet()
