"""All benchmarks: `python tests/benchmarks/run.py`, with `--save` into the README and its chart.

python tests/benchmarks/run.py                  all of them, some minutes; nothing else should run meanwhile
python tests/benchmarks/run.py --only startup   those of one module, or of one function
python tests/benchmarks/run.py --small          a few rows, to see that they work; the figures mean nothing
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import sys
from typing import TYPE_CHECKING

import picture
from harness import HERE, Size, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness import Figure

    Benchmark = Callable[[Size], Iterator[Figure]]

ROOT = HERE.parent.parent
README, CHART = ROOT / "README.md", ROOT / "notebooks" / "pictures" / "growth.svg"
_PEERS = ("pandera", "pydantic")
_PLACE = re.compile(r"(<!-- figures: benchmarks -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def benchmarks(only: Sequence[str] = ()) -> dict[str, Benchmark]:
    """Name (`module.function`) to benchmark: what each module of this folder lists as its `BENCHMARKS`.

    Args:
        only: names of modules or of functions; all where there are none.
    """
    names = sorted(one.stem for one in HERE.glob("*.py") if "\nBENCHMARKS = " in one.read_text(encoding="utf-8"))
    found = {f"{name}.{one.__name__}": one for name in names for one in importlib.import_module(name).BENCHMARKS}
    unknown = [name for name in only if not any(name in one.split(".") for one in found)]
    if unknown:
        sys.exit(f"There is no benchmark {unknown[0]!r}. There are: {', '.join(found)}.")
    return {name: one for name, one in found.items() if not only or set(only) & set(name.split("."))}


def save(figures: list[Figure]) -> None:
    """The table into the README, the chart into its picture."""
    table = told(figures)
    text = README.read_text(encoding="utf-8")
    README.write_text(_PLACE.sub(lambda place: f"{place[1]}{table}\n{place[2]}", text), encoding="utf-8")
    CHART.write_text(picture.growth(figures), encoding="utf-8")


def main() -> None:
    """Run them one after another; the table comes last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a few rows, to see that they work")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="modules or functions")
    parser.add_argument("--save", action="store_true", help="write the table and the chart of the README")
    given = parser.parse_args()
    if given.save and (given.small or given.only):
        parser.error("--save takes all figures at full size")
    if missing := [name for name in _PEERS if not importlib.util.find_spec(name)]:
        sys.exit(f"{' and '.join(missing)} cannot be found. Type: pip install 'invoca-bulk[benchmark]'")
    figures = []
    for name, benchmark in benchmarks(given.only).items():
        print(f"{name} …", file=sys.stderr, flush=True)
        figures += benchmark(Size.SMALL if given.small else Size.FULL)
    print(told(figures))
    if given.save:
        save(figures)


if __name__ == "__main__":
    main()
