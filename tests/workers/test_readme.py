"""The README's section for a team, followed as it is written, from an empty database to two workers and a notebook."""

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

README = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")


def _block(name: str) -> list[str]:
    found = re.search(rf"<!-- team: {name} -->\n```\w+\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
    assert found, name
    return found[1].splitlines()


def test_a_team_can_follow_it(
    machine: Callable[..., Machine], postgres: Postgres, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line is run, but for the installation, and for the names of the database's machine and of the network."""
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", str(postgres.port))
    monkeypatch.setenv("PGUSER", "invoca")  # the tests' own administrator
    for line in _block("the database"):
        line = line.replace(" -P", "")  # noqa: PLW2901  nobody is there to be asked; it is trusted here
        mine = line.replace("createuser invoca", "createuser team").replace("=invoca invoca", "=team team")
        subprocess.run([str(postgres.programs / shlex.split(mine)[0]), *shlex.split(mine)[1:]], check=True)
    install, where, network = _block("each machine")
    assert install == "pip install 'invoca-bulk[cluster]'"
    assert where == "export INVOCA_JOURNAL=postgresql://invoca@db.example/invoca"
    assert network == "export INVOCA_NETWORK_ID=1234"
    journal = f"postgresql://team@127.0.0.1:{postgres.port}/team"
    token, worker = _block("a worker")
    assert token.startswith("export INVOCA_API_TOKEN_1234=")
    own = {"INVOCA_JOURNAL": journal, "INVOCA_API_TOKEN": "", f"INVOCA_API_TOKEN_{NETWORK_ID}": TOKEN}
    for name in ("one", "two"):
        machine(name, **own).start(*shlex.split(worker)[1:])
    client = machine("client", INVOCA_JOURNAL=journal)
    for line in _block("a run"):
        done = client.call(*shlex.split(line)[1:])
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    bought = len(box.store.ledger)
    assert bought == 6
    assert (client.folder / "numbers-done.xlsx").exists()
    cell = "\n".join(_block("a notebook")).replace('"1234"', f"{NETWORK_ID!r}, base_url={box.base_url!r}")
    checked = f"{cell}\nassert set(results['result_status']) == {{'created'}}, results"
    environment = {**client.environment_of_programs(), "PYTHONWARNINGS": "error"}
    subprocess.run([sys.executable, "-c", checked], cwd=client.folder, env=environment, check=True)
    assert len(box.store.ledger) == 2 * bought
