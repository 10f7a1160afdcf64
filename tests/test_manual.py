"""The README and the manual match the program: commands and Python run as they are written, tables are generated."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk.cli import COMMANDS, main
from invoca_bulk.exit_codes import EXIT_CODES
from invoca_bulk.sandbox_server import Sandbox
from tests import manual_tables
from tests.systems import posix_only

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
TOPICS = {path.stem: path.read_text(encoding="utf-8") for path in manual_tables.FILES}
#: Commands that run until they are stopped, or need workers; they are tested elsewhere, and here for their flags.
SERVERS = {"sandbox", "app", "lab", "worker", "stop"}


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """The language and the text of each block of code, in order."""
    for match in re.finditer(r"^ *```(\w+)\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE):
        yield match[1], re.sub(r"\\\n\s*", "", match[2])


def _commands(text: str) -> list[str]:
    lines = [line.strip() for language, block in _blocks(text) if language == "bash" for line in block.splitlines()]
    return [line for line in lines if line.startswith("invoca-bulk ")]


@pytest.mark.parametrize("path", manual_tables.FILES, ids=lambda path: path.stem)
def test_tables_are_up_to_date(path: Path) -> None:
    """`python -m tests.manual_tables` would change nothing."""
    text = path.read_text(encoding="utf-8")
    assert manual_tables.render(text) == text


def test_the_readme_is_short() -> None:
    """Who opens it for the first time reads it to its end."""
    assert len(TOPICS["README"].splitlines()) <= 200


@pytest.mark.parametrize("topic", TOPICS)
def test_topics_that_are_named_exist(topic: str) -> None:
    """`invoca-bulk help TOPIC` names a topic or a command, and links lead to files."""
    for name in re.findall(r"invoca-bulk help ([\w-]+)", TOPICS[topic]):
        assert name in TOPICS or name in COMMANDS or name == "TOPIC", name
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TOPICS[topic]):
        assert (ROOT / target if topic == "README" else ROOT / "invoca_bulk/manual" / target).exists(), target


def test_every_notebook_is_listed() -> None:
    """The topic of the notebooks names each of them."""
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"`{path.stem}`" in TOPICS["notebooks"]


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_link_to_topics(path: Path) -> None:
    """Each notebook says which topic has more, and each topic that it names exists."""
    topics = re.findall(r'ib\.help\(\\"([\w-]+)\\"\)', path.read_text(encoding="utf-8"))
    assert topics
    for topic in topics:
        assert ib.help(topic).text == TOPICS[topic] or "<!--" in TOPICS[topic]


def test_exit_codes_are_those_of_the_program() -> None:
    """The topic of the settings explains each exit code."""
    table = TOPICS["settings"].split("| exit code |")[1].split("\n\n")[0]
    assert re.findall(r"^\| (\d) \|", table, flags=re.MULTILINE) == list(map(str, EXIT_CODES))


def test_every_table_is_shown() -> None:
    """No generated table is forgotten, and no marker is misspelt."""
    markers = re.findall(
        r"<!-- table: (.+?) -->", "".join(path.read_text(encoding="utf-8") for path in manual_tables.FILES)
    )
    assert set(markers) == set(manual_tables.TABLE_BUILDERS)


@pytest.mark.parametrize("line", sorted({line for text in TOPICS.values() for line in _commands(text)}))
def test_commands_and_flags_exist(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command and flag in the manual exists."""
    _, verb, *arguments = shlex.split(line, comments=True)
    assert verb in COMMANDS
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    usage = capsys.readouterr().out
    for argument in arguments:
        if argument.startswith("-"):
            assert re.search(rf"(^|\s|,){re.escape(argument.split('=')[0])}\b", usage), argument


def _without_progress(text: str) -> list[str]:
    """The lines without progress bars, whose figures differ from run to run."""
    return [line.rstrip() for line in text.splitlines() if "it/s" not in line and "row/s" not in line]


@posix_only
def test_demo_output_is_real(tmp_path: Path) -> None:
    """The README shows what `.venv/bin/invoca-bulk demo` prints; its next command works where the demo was run."""
    program = tmp_path / ".venv/bin/invoca-bulk"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable}\nfrom invoca_bulk.cli import main\nmain()\n")
    program.chmod(0o755)
    shown = TOPICS["README"].split("<!-- output: demo -->")[1].split("```text\n")[1].split("```")[0]
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


@pytest.mark.parametrize("topic", TOPICS)
def test_commands_and_python_run(
    topic: str, tmp_path: Path, cli: Callable[..., Any], box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of a topic run in order, in a folder with the templates and the results of a run.

    The network, address and token are those of a sandbox with a second, empty network 5678. `run` is
    confirmed with `--yes`; RUN is the latest run, `{run}` in Python is `run_id`.
    """
    text = TOPICS[topic]
    box.store.add_network("5678", empty=True)
    for name, value in {"BASE_URL": box.base_url, "NETWORK_ID": box.network_id, "API_TOKEN": box.token}.items():
        monkeypatch.setenv(f"INVOCA_{name}", value)
    monkeypatch.setenv("INVOCA_JOURNAL", str(tmp_path / "journal"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    _provide_files(text, tmp_path, cli)
    names: dict[str, Any] = {"ib": ib, "network": ib.Network(network_id=box.network_id), "run_id": _latest_run()}
    for language, block in _blocks(text):
        if language == "python":
            exec(compile(block, f"{topic}.md", "exec"), names)  # noqa: S102  that is what is tested
        elif language == "bash":
            for line in _commands(f"```bash\n{block}```"):
                _run_command(line, cli)
    if topic in CHECKS:
        CHECKS[topic](names, box)


def _check_readme(names: dict[str, Any], box: Sandbox) -> None:
    """The walk buys the template's six numbers once, and the Python example those of its own sandbox."""
    assert Path("results-2.xlsx").exists()
    assert len(box.store.ledger) == 6
    assert set(names["results"]["result_status"]) == {"created"}
    assert names["results"]["promo_number"].nunique() == 6


def _check_advertisers(names: dict[str, Any], _: Sandbox) -> None:
    """The commands create what the template has; of its users, Python changes one."""
    done = ib.read("advertisers-done.xlsx")
    assert {name: set(frame["result_status"]) for name, frame in done.items()} == {
        name: {"created"} for name in ("advertisers", "sites", "users")
    }
    users = names["results"]["users"]
    assert users.loc[users["result_status"] == "updated", "contact_phone_number"].tolist() == ["8055550199"]
    assert set(users["result_status"]) == {"unchanged", "updated"}


def _check_migration(_: dict[str, Any], box: Sandbox) -> None:
    """Everything is copied to the second network, with new numbers."""
    new = ib.read("numbers-new.xlsx")
    assert isinstance(new, pd.DataFrame)
    old_numbers, new_numbers = set(new["source_promo_number"]), set(new["promo_number"])
    assert len(old_numbers) == len(new_numbers) == 6
    assert not old_numbers & new_numbers
    first, second = (box.store.networks[name].advertisers for name in (box.network_id, "5678"))
    assert {name: (advertiser.name, len(advertiser.users)) for name, advertiser in first.items()} == {
        name: (advertiser.name, len(advertiser.users)) for name, advertiser in second.items()
    }


#: What has happened when the blocks of a topic have run.
CHECKS: dict[str, Callable[[dict[str, Any], Sandbox], None]] = {
    "README": _check_readme,
    "advertisers": _check_advertisers,
    "migration": _check_migration,
}


def _provide_files(text: str, folder: Path, cli: Callable[..., Any]) -> None:
    """The files that a topic takes for granted: filled-in templates and results."""
    for resource, name in (("promo_numbers", "requests.xlsx"), ("advertisers", "advertisers.xlsx")):
        if f"-o {name}" not in text:
            shutil.copy(folder / "templates" / f"{resource}.xlsx", folder / name)
    if "results.xlsx" in text and "-o results.xlsx" not in text:
        ran = cli("run", folder / "templates/promo_numbers.xlsx", "--yes", "-o", "results.xlsx")
        assert ran.code == 0, ran.err


def _latest_run() -> str:
    runs = ib.runs()["run"]
    return str(runs.iloc[-1]) if len(runs) else ""


def _run_command(line: str, cli: Callable[..., Any]) -> None:
    verb, *arguments = shlex.split(line, comments=True)[1:]
    if verb in SERVERS or "--cluster" in arguments:
        return
    arguments = [_latest_run() if argument == "RUN" else argument for argument in arguments]
    ran = cli(verb, *arguments, *(["--yes"] if verb == "run" and "--yes" not in arguments else []))
    assert ran.code == 0, (line, ran.out, ran.err)


def test_the_workflow_runs_the_readme_command() -> None:
    """What runs on other systems is what the README tells users to run."""
    command = TOPICS["README"].split("<!-- test command -->\n```bash\n")[1].split("\n```")[0]
    assert f"run: {command}\n" in (ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_headings_of_a_topic_differ(topic: str) -> None:
    """A reader who looks for a heading finds all that it has to say."""
    headings = [line for line in TOPICS[topic].splitlines() if line.startswith("#")]
    assert len(set(headings)) == len(headings)
