"""The long form of the crash tests, to be started by hand from the project's folder.

    python tests/crash/campaign.py --kills 1000 --rows 20000 --seed 1 --save crash.json
    python tests/crash/campaign.py --points --seeds 5

The first one runs sheets with faults in a fifth of the requests and kills their processes, for each way to buy numbers,
and prints a table; kills and rows are totals of our own ways. The second one kills at each labelled point under each
group of faults, for each way and each seed. The exit code is 1 if one of our own ways has bought a number twice or
lost one, or if a naive way has not.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.append(str(Path(__file__).resolve().parents[2]))  # last, so that the installed package is what runs

from invoca_bulk.sandbox_server import Sandbox
from tests.crash import points
from tests.crash.driving import Network, Zygote, killed_often
from tests.crash.ways import CONTROLS, WAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.crash.driving import Campaign
    from tests.crash.ways import Way

_COLUMNS = ("way", "kills", "faults", "rows", "issued", "duplicates", "lost", "unknown", "seconds")
#: So many numbers a sheet asks for.
_SHEET = 500


def _figures(name: str, came: Campaign) -> dict[str, Any]:
    found = {one: getattr(came.figures, one) for one in ("rows", "issued", "duplicates", "lost", "unknown")}
    faults = {kind: count for kind, count in came.faults.items() if kind != "settle_delay"}  # comes with another one
    told = {"way": name, "kills": came.kills, "faults": sum(faults.values()), **found, "seconds": round(came.seconds)}
    return {**told, "problems": list(came.figures.problems), "sound": came.figures.is_sound}


def _killed(way: Way, zygote: Zygote, folder: Path, *, kills: int, rows: int, seed: int) -> dict[str, Any]:
    with Sandbox(open_campaigns=True) as box:
        network = Network(zygote=zygote, box=box, folder=folder / way.name, way=way)
        sheets = max(1, round(rows / _SHEET))
        came = killed_often(network, total=kills, rows=rows // sheets, sheets=sheets, seed=seed)
    return _figures(way.name, came)


def _campaigns(arguments: argparse.Namespace, zygote: Zygote, folder: Path) -> Iterator[dict[str, Any]]:
    """One line for each way; the naive ways get a tenth of what ours get together."""
    share = {"kills": -(-arguments.kills // len(WAYS)), "rows": -(-arguments.rows // len(WAYS))}
    few = {"kills": arguments.kills // 10, "rows": arguments.rows // 10}
    for way in itertools.chain(WAYS.values(), CONTROLS.values()):
        yield _killed(way, zygote, folder, seed=arguments.seed, **(few if way.name in CONTROLS else share))


def _points(arguments: argparse.Namespace, zygote: Zygote, folder: Path) -> Iterator[dict[str, Any]]:
    """One line for each case in which something went wrong, and one for all."""
    count = 0
    for seed, way, (point, group) in itertools.product(range(arguments.seeds), points.POINT_WAYS, points.cases()):
        with Sandbox(open_campaigns=True) as box:
            name = f"{point}-{group}-{way.name}-{seed}"
            network = Network(zygote=zygote, box=box, folder=folder / name, way=way, options={"concurrency": 2})
            wanted, figures = points.killed_at(network, point, group, seed), network.figures()
        count += 1
        if not figures.is_sound or network.killed != wanted or figures.created != points.ROWS:
            yield {"way": name, "killed": network.killed, "wanted": wanted, "sound": False, "figures": str(figures)}
    yield {"way": "all points", "kills": count, "sound": True}


def _line(cells: Sequence[Any]) -> str:
    first, *rest = cells
    return f"| {first!s:<26} | " + " | ".join(f"{cell!s:>10}" for cell in rest) + " |"


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def _is_as_it_should_be(told: dict[str, Any]) -> bool:
    return bool(told["sound"]) is not (told["way"] in CONTROLS)


def main() -> int:
    """Run what the command line asks for, print it and save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--points", action="store_true", help="kill at each labelled point instead")
    parser.add_argument("--seeds", type=int, default=3, help="of --points")
    parser.add_argument("--save", type=Path, help="a file for the figures, as JSON")
    arguments = parser.parse_args()
    found: list[dict[str, Any]] = []
    _say(_line(_COLUMNS), _line(["---"] * len(_COLUMNS)))
    with Zygote() as zygote, tempfile.TemporaryDirectory() as folder:
        for told in (_points if arguments.points else _campaigns)(arguments, zygote, Path(folder)):
            found.append(told)
            _say(_line([told.get(name, "") for name in _COLUMNS]))
            _say(*(told.get("problems", [])[:3] if told["way"] not in CONTROLS else []))
    if arguments.save:
        arguments.save.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0 if all(map(_is_as_it_should_be, found)) else 1


if __name__ == "__main__":
    sys.exit(main())
