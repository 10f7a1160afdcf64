"""Runs the manual's topic for teams as written, from an empty database to two workers and a notebook."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from machines import NETWORK_ID, TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from machines import Machine
    from postgres import Postgres

    from invoca_bulk.sandbox_server import Sandbox

TOPIC = (Path(__file__).parents[2] / "invoca_bulk/manual/team.md").read_text(encoding="utf-8")


def _block(name: str) -> list[str]:
    block = re.search(rf"<!-- team: {name} -->\n```\w+\n(.*?)^```", TOPIC, flags=re.DOTALL | re.MULTILINE)
    assert block, name
    return block[1].splitlines()


def test_team_section_works(
    machine: Callable[..., Machine], postgres: Postgres, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line runs, except the installation; the database's host and the network's id are replaced."""
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", str(postgres.port))
    monkeypatch.setenv("PGUSER", "invoca")  # the tests' own administrator
    for line in _block("the database"):
        # No password: there is no prompt, and the test server trusts everyone.
        command = line.replace(" -P", "").replace("createuser invoca", "createuser team")
        program, *arguments = shlex.split(command.replace("=invoca invoca", "=team team"))
        subprocess.run([str(postgres.programs / program), *arguments], check=True)
    install, database, network = _block("each machine")
    assert install == "pip install 'invoca-bulk[cluster]'"
    assert database == "export INVOCA_JOURNAL=postgresql://invoca@db.example/invoca"
    assert network == "export INVOCA_NETWORK_ID=1234"
    journal = f"postgresql://team@127.0.0.1:{postgres.port}/team"
    token, worker = _block("a worker")
    assert token.startswith("export INVOCA_API_TOKEN_1234=")
    environment = {"INVOCA_JOURNAL": journal, "INVOCA_API_TOKEN": "", f"INVOCA_API_TOKEN_{NETWORK_ID}": TOKEN}
    for name in ("one", "two"):
        machine(name, **environment).start(*shlex.split(worker)[1:])
    client = machine("client", INVOCA_JOURNAL=journal)
    for line in _block("a run"):
        process = client.call(*shlex.split(line)[1:])
        assert process.returncode == 0, (line, process.stdout, process.stderr)
    issued_count = len(box.store.ledger)
    assert issued_count == 6
    assert (client.folder / "numbers-done.xlsx").exists()
    cell = "\n".join(_block("a notebook")).replace('"1234"', f"{NETWORK_ID!r}, base_url={box.base_url!r}")
    script = f"{cell}\nassert set(results['result_status']) == {{'created'}}, results"
    environment = {**client.process_environment(), "PYTHONWARNINGS": "error"}
    subprocess.run([sys.executable, "-c", script], cwd=client.folder, env=environment, check=True)
    assert len(box.store.ledger) == 2 * issued_count
