"""The README is the manual: what it shows is what the program does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk.cli import COMMANDS, main
from tests import readme_tables

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ROOT = Path(__file__).parent.parent
#: Verbs that serve until they are stopped; they have tests of their own.
SERVERS = {"sandbox", "app", "lab"}
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", README, flags=re.DOTALL | re.MULTILINE)


def test_tables_are_those_of_the_code() -> None:
    """`python -m tests.readme_tables README.md` would change nothing, and every table has its place."""
    assert readme_tables.render_readme(README) == README
    for name in readme_tables.TABLE_BUILDERS:
        assert f"<!-- table: {name} -->" in README


def _without_figures(text: str) -> list[str]:
    """Lines whose figures that differ from run to run are blanked: progress bars are left out."""
    return [line.rstrip() for line in text.splitlines() if "it/s" not in line and "row/s" not in line]


def test_the_demos_output_is_the_real_one(cli: Callable[..., Any]) -> None:
    """The README shows what `invoca-bulk demo` prints."""
    shown = README.split("<!-- output: demo -->")[1].split("```text\n")[1].split("```")[0]
    ran = cli("demo")
    assert ran.code == 0, ran.err
    assert _without_figures(shown) == _without_figures(ran.out)


def test_the_library_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The lines of Python run as they stand, next to the templates, and every row gets a number."""
    first, second, third = _blocks("python")
    (tmp_path / "templates").symlink_to(ROOT / "templates")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(first, "README.md", "exec"), names)  # noqa: S102  that is the test
    assert (tmp_path / "results.xlsx").exists()
    assert set(names["results"]["result_status"]) == {"created"}
    assert "promo_number" in capsys.readouterr().out
    exec(compile(second, "README.md", "exec"), names)  # noqa: S102  that is the test
    assert (tmp_path / "plan.xlsx").exists()
    assert {name: set(frame["result_status"]) for name, frame in names["results"].items()} == {
        name: {"created"} for name in ("advertisers", "sites", "users")
    }
    assert "8 create" in capsys.readouterr().out
    exec(compile(third, "README.md", "exec"), names)  # noqa: S102  that is the test
    assert "8055550199" in capsys.readouterr().out
    assert sorted(names["results"]["users"]["result_status"]) == ["unchanged", "unchanged", "updated"]


def _commands() -> list[str]:
    lines = [line.strip() for block in _blocks("bash") for line in block.splitlines()]
    return [line for line in lines if line.startswith("invoca-bulk ")]


@pytest.mark.parametrize("line", _commands())
def test_every_command_exists_with_its_flags(line: str, capsys: Any) -> None:
    """No command of the README names a verb or a flag that the program does not have."""
    _, verb, *rest = line.split()
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    usage = capsys.readouterr().out
    for word in rest:
        if word.startswith("-"):
            assert re.search(rf"(^|\s|,){re.escape(word)}\b", usage), word


def test_the_walk_through_works_as_written(
    tmp_path: Path, cli: Callable[..., Any], box: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Template, validate, rehearse, run, run the results: each step as the README says, against a sandbox."""
    monkeypatch.setenv("INVOCA_BASE_URL", box.base_url)
    monkeypatch.setenv("INVOCA_NETWORK_ID", box.network_id)
    monkeypatch.setenv("INVOCA_API_TOKEN", box.token)
    for line in _commands()[:5]:
        arguments = line.split()[1:]
        if arguments[0] == "run" and "--sandbox" not in arguments:
            arguments.append("--yes")
        ran = cli(*arguments)
        assert ran.code == 0, (line, ran.out, ran.err)
    assert (tmp_path / "results-2.xlsx").exists()
    assert len(box.store.ledger) == 6


def test_advertisers_plan_export_and_migration_work_as_written(
    tmp_path: Path, cli: Callable[..., Any], box: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands of these sections in their order: the second network gets the same, with numbers of its own."""
    box.store.add_network("5678", empty=True)
    monkeypatch.setenv("INVOCA_BASE_URL", box.base_url)
    monkeypatch.setenv("INVOCA_NETWORK_ID", box.network_id)
    monkeypatch.setenv("INVOCA_API_TOKEN", box.token)
    assert cli("template", "promo_numbers", "-o", "requests.xlsx").code == 0
    lines = _commands()
    for line in lines[lines.index("invoca-bulk template advertisers -o advertisers.xlsx") :]:
        arguments = line.split()[1:]
        if arguments[0] in SERVERS:
            continue
        ran = cli(*arguments, *(["--yes"] if arguments[0] == "run" else []))
        assert ran.code == 0, (line, ran.out, ran.err)
        if "planned.xlsx" in line:
            (tmp_path / "planned.xlsx").rename(tmp_path / "results.xlsx")
    new = ib.read(tmp_path / "numbers-new.xlsx")
    assert isinstance(new, pd.DataFrame)
    old_numbers, new_numbers = set(new["source_promo_number"]), set(new["promo_number"])
    assert len(old_numbers) == len(new_numbers) == 6
    assert not old_numbers & new_numbers
    first, second = (box.store.networks[name].advertisers for name in (box.network_id, "5678"))
    assert {name: one.name for name, one in first.items()} == {name: one.name for name, one in second.items()}
    assert {name: len(one.users) for name, one in first.items()} == {
        name: len(one.users) for name, one in second.items()
    }


def test_verbs_are_documented() -> None:
    """Each verb's own help begins with what the README's table says of it, or says more."""
    for verb in COMMANDS:
        assert f"| `{verb}` |" in README
