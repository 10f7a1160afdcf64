"""The one style sheet of all displays.

Every rule stands under the class `invoca-bulk`, written twice so that it outweighs JupyterLab's own rules for tables.
Both themes set text and background together, so that they can be read on whatever is behind them; contrasts are at
least 4.5 to 1, which `test_displays` reckons from this text.
"""

from __future__ import annotations

_LIGHT_THEME = """
  color-scheme: light;
  --ib-back: #ffffff; --ib-text: #1f2328; --ib-muted: #59636e; --ib-line: #c9d1d9; --ib-head: #eef1f4;
  --ib-ok-back: #d5f2dc; --ib-ok-text: #0b5223; --ib-ok-bar: #2c8a47;
  --ib-warning-back: #fdeeb5; --ib-warning-text: #614600; --ib-warning-bar: #b98a00;
  --ib-error-back: #ffd9dc; --ib-error-text: #8c0a1b; --ib-error-bar: #cf2f41;
"""
_DARK_THEME = """
  color-scheme: dark;
  --ib-back: #111418; --ib-text: #e3e8ee; --ib-muted: #9aa5b1; --ib-line: #3c454f; --ib-head: #222930;
  --ib-ok-back: #113a20; --ib-ok-text: #9fe6b4; --ib-ok-bar: #3fa45c;
  --ib-warning-back: #3f3204; --ib-warning-text: #f5d773; --ib-warning-bar: #c99b1d;
  --ib-error-back: #4c151c; --ib-error-text: #ffb9c0; --ib-error-bar: #e0525f;
"""
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
& svg .ib-muted-bar { fill: var(--ib-muted); }
"""


def _build_style_sheet() -> str:
    here = ".invoca-bulk.invoca-bulk"
    return (
        f"{here} {{{_LIGHT_THEME}}}\n"
        f'body[data-jp-theme-light="false"] {here} {{{_DARK_THEME}}}\n'
        f"@media (prefers-color-scheme: dark) {{ body:not([data-jp-theme-light]) {here} {{{_DARK_THEME}}} }}"
        f"{_CSS_RULES.replace('&', here)}"
    )


#: For a `<style>` element; `markup.container` has it in each display.
STYLE_SHEET = _build_style_sheet()
