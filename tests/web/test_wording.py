"""How the page words what to do: every label that it quotes is on the page."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import invoca_bulk
from invoca_bulk.cli.wording import command_words
from invoca_bulk.web import screens
from invoca_bulk.web.wording import LABELS, page_words
from invoca_bulk.wording import option, remedy, setting, word


@pytest.mark.parametrize("name", sorted(LABELS))
def test_every_label_is_on_the_page(name: str) -> None:
    """The forms take their labels from the same table."""
    source = ast.parse(Path(screens.__file__).read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(source) if isinstance(node, ast.Constant)}
    assert name in texts or LABELS[name] in " ".join(map(str, texts))


@pytest.mark.parametrize(
    ("text", "worded"),
    [
        (str(option("skip_invalid")), "“Leave out the refused rows”"),
        (str(option("nested=merge")), "“Users and sites”: merge"),
        (str(option("sheet=…")), "a file with only that sheet"),
        (str(remedy("resume", subject="R1")), "show run R1 and press “Resume this run”"),
        (str(remedy("resume")), "show the run and press “Resume this run”"),
        (
            str(remedy("resume", "resend_absent", subject="R1")),
            "show run R1 and press “Resume this run”, with “Buy again what was not found on the platform”",
        ),
        (
            str(remedy("resume", "resend_unknown", subject="R1")),
            "ask the person who started the page to run “resume R1 resend_unknown”",
        ),
        (str(remedy("worker")), "ask the person who started the page to run “worker”"),
    ],
)
def test_remedies_are_buttons_and_fields(text: str, worded: str) -> None:
    """What the page cannot do is left to the person who started it."""
    assert word(text, wording=page_words) == worded


@pytest.mark.parametrize("action", ["resume", "results", "stop"])
def test_a_run_that_is_not_known_is_a_placeholder(action: str) -> None:
    """Without a run, a command or a call would act on the latest one."""
    assert word(str(remedy(action)), wording=command_words) == f"invoca-bulk {action} RUN"
    assert word(str(remedy(action)), run="R1", wording=command_words) == f"invoca-bulk {action} R1"


def test_a_setting_is_named_without_a_value() -> None:
    """In a sentence about its value, a setting is its flag or its argument."""
    assert word(str(setting("doubt_refusals")), wording=command_words) == "--doubt-429"
    with pytest.raises(invoca_bulk.UserError, match=r"^max_failures is 'x'\."):
        invoca_bulk.run("x.csv", invoca_bulk.Network(network_id="1", token="t"), max_failures="x")
