"""`invoca-bulk help` and `invoca-bulk explain`, and what the program says about misspelt names."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from invoca_bulk.cli import COMMANDS, HELP, common, main
from invoca_bulk.manual import topics
from invoca_bulk.schema.issue_catalog import ISSUE_TYPES
from invoca_bulk.schema.outcomes import OUTCOME_HELP, Outcome
from tests.systems import posix_only

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def manual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manual of two topics, one of which has the name of a command."""
    folder = tmp_path / "manual"
    folder.mkdir()
    (folder / "columns.md").write_text(
        "# Columns\n\nWhat each column of a sheet takes.\n\n"
        "<!-- table: columns -->\n| column |\n| --- |\n<!-- end of table -->\n\nA last line.\n",
        encoding="utf-8",
    )
    (folder / "undo.md").write_text("# Undo\n\nHow to reverse a run: “über”.\n", encoding="utf-8")
    monkeypatch.setattr(topics, "_folder", lambda: folder)
    return folder


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code, *capsys.readouterr()


def test_help_lists_the_topics(manual: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each topic is listed with the sentence below its title."""
    assert manual.is_dir()
    code, out, err = _run(capsys, "help")
    assert (code, err) == (0, "")
    assert out.splitlines()[:3] == [
        "Topics:",
        "  columns  What each column of a sheet takes.",
        "  undo     How to reverse a run: “über”.",
    ]
    assert "invoca-bulk help TOPIC" in out


def test_help_prints_a_topic(manual: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal the text is printed as it is, without the marks around generated tables."""
    assert manual.is_dir()
    assert _run(capsys, "help", "columns") == (
        0,
        "# Columns\n\nWhat each column of a sheet takes.\n\n| column |\n| --- |\n\nA last line.\n",
        "",
    )


def test_a_topic_that_is_a_command_too(manual: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The topic comes first, then the command's options."""
    assert manual.is_dir()
    code, out, _ = _run(capsys, "help", "undo")
    assert code == 0
    assert out.index("# Undo") < out.index("undo [OPTIONS] [RUN]") < out.index("--token-file")


@pytest.mark.parametrize(("name", "nearest"), [("colums", "columns"), ("validat", "validate")])
def test_an_unknown_topic_names_the_nearest(
    manual: Path, capsys: pytest.CaptureFixture[str], name: str, nearest: str
) -> None:
    """Topics and commands are proposed."""
    assert manual.is_dir()
    code, out, err = _run(capsys, "help", name)
    assert (code, out) == (2, "")
    assert err.startswith(f"There is no topic {name!r}. Did you mean: invoca-bulk help {nearest}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """`help COMMAND` ends with what `COMMAND --help` shows."""
    code, out, err = _run(capsys, "help", command)
    assert (code, err) == (0, "")
    assert out.endswith(_run(capsys, command, "--help")[1])


def test_help_without_a_manual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """A package without topics still shows the help of commands."""
    monkeypatch.setattr(topics, "_folder", lambda: tmp_path / "missing")
    assert _run(capsys, "help")[0] == 0
    assert _run(capsys, "help", "runs")[0] == 0


def _run_in_terminal(*arguments: str, typed: bytes = b"", **environment: str) -> tuple[int, str]:
    """Run the program in a terminal: its exit code, and all that the terminal shows."""
    controller, terminal = pytest.importorskip("pty").openpty()
    command = [sys.executable, "-m", "invoca_bulk", *arguments]
    with subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env={**os.environ, **environment}
    ) as process:
        os.close(terminal)
        os.write(controller, typed)
        shown = io.BytesIO()
        while chunk := _read(controller):
            shown.write(chunk)
    os.close(controller)
    return process.returncode, shown.getvalue().decode(errors="replace").replace("\r\n", "\n")


def _read(controller: int) -> bytes:
    try:
        return os.read(controller, 10_000)
    except OSError:  # Linux: the other end is closed
        return b""


def test_help_uses_the_pager_of_a_terminal(tmp_path: Path) -> None:
    """On a terminal the text goes through the program that PAGER names."""
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho paged\ncat\n")
    pager.chmod(0o755)
    code, shown = _run_in_terminal("help", "runs", PAGER=str(pager))
    assert code == 0
    assert shown.startswith("paged\n")
    assert "Usage:" in shown


# explain


def test_explain_lists_the_codes_by_group(cli: Callable[..., Any]) -> None:
    """All codes and outcomes are listed once, below the titles of their groups."""
    ran = cli("explain")
    assert (ran.code, ran.err) == (0, "")
    listed = [line.split()[0] for line in ran.out.splitlines() if line.startswith("  ")]
    assert listed == [*ISSUE_TYPES, *Outcome]
    assert ran.out.startswith("Headers:\n  column_misspelt")


def test_explain_an_issue(cli: Callable[..., Any]) -> None:
    """What it means, why it is an error, wrong and right cells, and the fix."""
    ran = cli("explain", "zip_code_zero_lost")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "zip_code_zero_lost: error",
        "",
        "'2134' has too few digits for a zip code; Excel drops leading zeros.",
        "",
        "Without its leading zero it is no zip code. Whether a zero is missing, or another digit, only you know.",
        "",
        "Wrong:",
        "  | local_center.zipcode |",
        "  | 2134                 |",
        "",
        "Right:",
        "  | local_center.zipcode |",
        "  | 02134                |",
        "",
        "Fix: 02134",
    ]


@pytest.mark.parametrize("code", ISSUE_TYPES)
def test_explain_every_issue(capsys: pytest.CaptureFixture[str], code: str) -> None:
    """Every code is explained in lines of a terminal, in the words of the command line."""
    ended, out, err = _run(capsys, "explain", code)
    assert (ended, err) == (0, "")
    assert out.startswith(f"{code}: {ISSUE_TYPES[code].level}\n")
    assert all(line.isprintable() for line in out.splitlines())
    assert all(len(line) <= 110 for line in out.splitlines() if line.startswith("  |"))


@pytest.mark.parametrize("outcome", Outcome)
def test_explain_an_outcome(capsys: pytest.CaptureFixture[str], outcome: Outcome) -> None:
    """An outcome has its meaning and what to do."""
    code, out, _ = _run(capsys, "explain", outcome.upper().replace("_", "-"))
    assert code == 0
    assert OUTCOME_HELP[outcome][0] in out
    assert "What to do: " in out


def test_an_unknown_code_names_the_nearest(cli: Callable[..., Any]) -> None:
    """Codes and outcomes are proposed."""
    ran = cli("explain", "not_a_chioce")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("There is no code 'not_a_chioce'. Did you mean: invoca-bulk explain not_a_choice\n")
    assert "Did you mean: invoca-bulk explain created" in cli("explain", "creatd").err
    assert "Did you mean" not in cli("explain", "xyzzy").err


# Commands that are typed wrong


def test_no_command_shows_the_help_once(cli: Callable[..., Any]) -> None:
    """`invoca-bulk` alone is no error."""
    ran = cli()
    assert (ran.code, ran.out.strip(), ran.err) == (0, HELP, "")


def test_a_misspelt_command_names_the_nearest(cli: Callable[..., Any]) -> None:
    """The proposal is the whole command, to be copied."""
    ran = cli("validat", "my requests.xlsx")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines() == [
        "There is no command 'validat'. Did you mean: invoca-bulk validate 'my requests.xlsx'",
        "See all of them: invoca-bulk --help",
    ]


def test_undo_without_a_run_and_without_a_terminal(cli: Callable[..., Any]) -> None:
    """Nobody can be asked, so the list of runs is named, with the journal that was typed."""
    ran = cli("undo", "--journal", "there")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "Name the run to undo. See all runs: invoca-bulk runs --journal there\n"


@pytest.fixture
def environment(box: Any) -> dict[str, str]:
    return {"INVOCA_BASE_URL": box.base_url, "INVOCA_NETWORK_ID": box.network_id, "INVOCA_API_TOKEN": box.token}


def test_undo_without_a_run_proposes_the_latest(
    cli: Callable[..., Any], environment: dict[str, str], requests_frame: Any, tmp_path: Path, box: Any
) -> None:
    """At a terminal the latest runs are shown, and the latest one of the network is proposed."""
    box.store.add_network("5678", empty=False)
    requests_frame(1).to_csv(tmp_path / "first.csv", index=False)
    requests_frame(2).to_csv(tmp_path / "second.csv", index=False)
    other_network = {**environment, "INVOCA_NETWORK_ID": "5678"}
    for file, variables in (("first.csv", environment), ("second.csv", other_network)):
        ran = cli("run", tmp_path / file, "--yes", **variables)
        assert ran.code == 0, ran.err
    code, shown = _run_in_terminal("undo", typed=b"\n", **environment)
    assert code == 0, shown
    assert shown.index("first.csv") < shown.index("second.csv") < shown.index("Plan how to undo ")
    assert f"the latest run of network {box.network_id} at {box.base_url}? Nothing is sent. [Y/n]" in shown
    assert "1 delete" in shown
    code, shown = _run_in_terminal("undo", typed=b"n\n", **environment)
    assert (code, shown.endswith("Stopped. Nothing was sent.\n")) == (2, True)


def test_undo_where_nothing_was_run(environment: dict[str, str]) -> None:
    """There is nothing to propose."""
    code, shown = _run_in_terminal("undo", **environment)
    assert (code, "There are no runs of your network in" in shown) == (2, True)


# The demo


def test_the_demo_leaves_nothing_for_git(cli: Callable[..., Any], tmp_path: Path) -> None:
    """Git ignores the demo's folder; a folder that was there already gets no .gitignore."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "mine").mkdir()
    assert cli("demo").code == 0
    status = subprocess.run(["git", "status", "--short"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert status.stdout == ""
    assert (tmp_path / "invoca-bulk-demo/results.xlsx").exists()
    assert cli("demo", "-o", "mine").code == 0
    assert not (tmp_path / "mine/.gitignore").exists()


@posix_only
def test_the_demo_names_the_program_that_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is enough where the shell finds this very program by it, not where it finds another one."""
    program, other = (tmp_path / folder / "invoca-bulk" for folder in ("venv", "elsewhere"))
    for path in (program, other):
        path.parent.mkdir()
        path.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])
    expected = {program.parent: ["invoca-bulk"], other.parent: [str(program)], tmp_path: [str(program)]}
    for folder, words in expected.items():
        monkeypatch.setenv("PATH", str(folder))
        assert common.current_program() == words
    monkeypatch.setattr(sys, "argv", ["somewhere/invoca_bulk/__main__.py"])
    assert common.current_program() == [sys.executable, "-m", "invoca_bulk"]
