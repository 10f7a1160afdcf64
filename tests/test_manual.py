"""The manual matches the program: its commands and its Python run as they are written, its tables are generated."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import invoca_bulk as ib
from invoca_bulk.cli import COMMANDS, main
from tests import manual_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from invoca_bulk.sandbox_server import Sandbox

ROOT = Path(__file__).parent.parent
TOPICS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "invoca_bulk/manual").glob("*.md"))}
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
