"""The long form of the crash tests; start it by hand in the project's directory.

    python tests/crash/campaign.py --kills 1000 --rows 20000 --seed 1 --save crash.json
    python tests/crash/campaign.py --points --seeds 5

The first command runs sheets with faults in a fifth of the requests and kills their processes, for each way to buy
numbers, and prints a table; kills and rows are totals over all ways except the controls. The second command kills at
each point with each group of faults, for each way and each seed. The exit code is 1 if one of these ways has bought a
number twice or lost one, or if a control has not.
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
from tests.crash.driving import Network, Zygote, run_with_kills
from tests.crash.ways import CONTROLS, WAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.crash.driving import KillCampaign
    from tests.crash.ways import Way

_COLUMNS = ("way", "kills", "faults", "rows", "issued", "duplicates", "lost", "unknown", "seconds")
#: Numbers that a sheet requests.
_SHEET_ROWS = 500


def _to_record(name: str, campaign: KillCampaign) -> dict[str, Any]:
    figures = campaign.figures
    # `settle_delay` always accompanies another fault.
    fault_count = sum(count for kind, count in campaign.faults.items() if kind != "settle_delay")
    return {
        "way": name,
        "kills": campaign.kills,
        "faults": fault_count,
        **{key: getattr(figures, key) for key in ("rows", "issued", "duplicates", "lost", "unknown")},
        "seconds": round(campaign.seconds),
        "problems": list(figures.problems),
        "sound": figures.is_sound,
    }


def _run_campaign(way: Way, zygote: Zygote, folder: Path, *, kills: int, rows: int, seed: int) -> dict[str, Any]:
    with Sandbox(open_campaigns=True) as box:
        network = Network(zygote=zygote, box=box, folder=folder / way.name, way=way)
        sheets = max(1, round(rows / _SHEET_ROWS))
        campaign = run_with_kills(network, total=kills, rows=rows // sheets, sheets=sheets, seed=seed)
    return _to_record(way.name, campaign)


def _run_campaigns(arguments: argparse.Namespace, zygote: Zygote, folder: Path) -> Iterator[dict[str, Any]]:
    """One record per way; each control gets a tenth of the total."""
    share = {"kills": -(-arguments.kills // len(WAYS)), "rows": -(-arguments.rows // len(WAYS))}
    control_share = {"kills": arguments.kills // 10, "rows": arguments.rows // 10}
    for way in itertools.chain(WAYS.values(), CONTROLS.values()):
        yield _run_campaign(
            way, zygote, folder, seed=arguments.seed, **(control_share if way.name in CONTROLS else share)
        )


def _run_points(arguments: argparse.Namespace, zygote: Zygote, folder: Path) -> Iterator[dict[str, Any]]:
    """One record for each case that failed, and one for all cases."""
    count = 0
    for seed, way, (point, group) in itertools.product(range(arguments.seeds), points.POINT_WAYS, points.cases()):
        with Sandbox(open_campaigns=True) as box:
            name = f"{point}-{group}-{way.name}-{seed}"
            network = Network(zygote=zygote, box=box, folder=folder / name, way=way, options={"concurrency": 2})
            expected, figures = points.run_with_kill(network, point, group, seed), network.figures()
        count += 1
        if not figures.is_sound or network.killed != expected or figures.created != points.ROWS:
            yield {"way": name, "killed": network.killed, "expected": expected, "sound": False, "figures": str(figures)}
    yield {"way": "all points", "kills": count, "sound": True}


def _format_line(cells: Sequence[Any]) -> str:
    name, *figures = cells
    return f"| {name!s:<26} | " + " | ".join(f"{figure!s:>10}" for figure in figures) + " |"


def _print(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def _is_expected(record: dict[str, Any]) -> bool:
    return bool(record["sound"]) is not (record["way"] in CONTROLS)


def main() -> int:
    """Run the requested crash tests, print their figures and save them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--points", action="store_true", help="kill at each point instead")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds for --points")
    parser.add_argument("--save", type=Path, help="JSON file to write the figures to")
    arguments = parser.parse_args()
    records: list[dict[str, Any]] = []
    _print(_format_line(_COLUMNS), _format_line(["---"] * len(_COLUMNS)))
    with Zygote() as zygote, tempfile.TemporaryDirectory() as folder:
        for record in (_run_points if arguments.points else _run_campaigns)(arguments, zygote, Path(folder)):
            records.append(record)
            _print(_format_line([record.get(name, "") for name in _COLUMNS]))
            _print(*(record.get("problems", [])[:3] if record["way"] not in CONTROLS else []))
    if arguments.save:
        arguments.save.write_text(json.dumps(records, indent=1), encoding="utf-8")
    return 0 if all(map(_is_expected, records)) else 1


if __name__ == "__main__":
    sys.exit(main())
