"""The README matches the program: tables, commands, outputs and code."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk.cli import COMMANDS, main

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ROOT = Path(__file__).parent.parent
#: Commands that run until they are stopped; they are tested elsewhere.
SERVERS = {"sandbox", "app", "lab"}
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", README, flags=re.DOTALL | re.MULTILINE)


def _without_progress(text: str) -> list[str]:
    """The lines without progress bars, whose figures differ from run to run."""
    return [line.rstrip() for line in text.splitlines() if "it/s" not in line and "row/s" not in line]


def test_demo_output_is_real(tmp_path: Path) -> None:
    """The README shows what `.venv/bin/invoca-bulk demo` prints; its next command works where the demo was run."""
    program = tmp_path / ".venv/bin/invoca-bulk"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable}\nfrom invoca_bulk.cli import main\nmain()\n")
    program.chmod(0o755)
    shown = README.split("<!-- output: demo -->")[1].split("```text\n")[1].split("```")[0]
    demo = subprocess.run(
        [".venv/bin/invoca-bulk", "demo"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert _without_progress(shown) == _without_progress(demo.stdout)
    next_command = demo.stdout.splitlines()[-1].removeprefix("Next: ")
    subprocess.run(shlex.split(next_command), cwd=tmp_path, check=True)
    assert (tmp_path / "requests.xlsx").exists()


def test_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The Python examples run unchanged in a folder with the templates, and every row gets a number."""
    first, second, third = _blocks("python")
    (tmp_path / "templates").symlink_to(ROOT / "templates")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(first, "README.md", "exec"), names)  # noqa: S102  that is what is tested
    assert (tmp_path / "results.xlsx").exists()
    assert set(names["results"]["result_status"]) == {"created"}
    assert "promo_number" in capsys.readouterr().out
    exec(compile(second, "README.md", "exec"), names)  # noqa: S102  that is what is tested
    assert (tmp_path / "plan.xlsx").exists()
    assert {name: set(frame["result_status"]) for name, frame in names["results"].items()} == {
        name: {"created"} for name in ("advertisers", "sites", "users")
    }
    assert "8 create" in capsys.readouterr().out
    exec(compile(third, "README.md", "exec"), names)  # noqa: S102  that is what is tested
    assert "8055550199" in capsys.readouterr().out
    assert sorted(names["results"]["users"]["result_status"]) == ["unchanged", "unchanged", "updated"]


def _commands() -> list[str]:
    lines = [line.strip() for block in _blocks("bash") for line in block.splitlines()]
    return [line for line in lines if line.startswith("invoca-bulk ")]


@pytest.mark.parametrize("line", _commands())
def test_commands_and_flags_exist(line: str, capsys: Any) -> None:
    """Every command and flag in the README exists."""
    _, verb, *arguments = line.split()
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    usage = capsys.readouterr().out
    for argument in arguments:
        if argument.startswith("-"):
            assert re.search(rf"(^|\s|,){re.escape(argument)}\b", usage), argument


def test_walk_through_works(tmp_path: Path, cli: Callable[..., Any], box: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Template, validate, sandbox run, run, run the results: each command of the README works on a sandbox."""
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


def test_advertisers_plan_export_and_migration_work(
    tmp_path: Path, cli: Callable[..., Any], box: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands of these sections, in order, copy everything to the second network, with new numbers."""
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
    assert {name: advertiser.name for name, advertiser in first.items()} == {
        name: advertiser.name for name, advertiser in second.items()
    }
    assert {name: len(advertiser.users) for name, advertiser in first.items()} == {
        name: len(advertiser.users) for name, advertiser in second.items()
    }


def test_verbs_are_documented() -> None:
    """The README's table lists every command."""
    for verb in COMMANDS:
        assert f"| `{verb}` |" in README
