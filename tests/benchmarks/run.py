"""Run the benchmarks; `--save` writes the table and the chart of this folder's README.md.

python tests/benchmarks/run.py                  all of them, some minutes; run nothing else meanwhile
python tests/benchmarks/run.py --only startup   those of one module, or of one function
python tests/benchmarks/run.py --small          a few rows, to check that they work; the figures mean nothing
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import sys
from typing import TYPE_CHECKING

import picture
from harness import HERE, Size, markdown_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness import Figure

    Benchmark = Callable[[Size], Iterator[Figure]]

ROOT = HERE.parent.parent
README, CHART = HERE / "README.md", ROOT / "notebooks" / "pictures" / "growth.svg"
_PEERS = ("pandera", "pydantic")
_TABLE = re.compile(r"(<!-- figures: benchmarks -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def benchmarks(only: Sequence[str] = ()) -> dict[str, Benchmark]:
    """Name (`module.function`) to benchmark, from the `BENCHMARKS` of each module of this folder.

    Args:
        only: names of modules or functions; all benchmarks if empty.
    """
    modules = sorted(path.stem for path in HERE.glob("*.py") if "\nBENCHMARKS = " in path.read_text(encoding="utf-8"))
    available = {
        f"{module}.{benchmark.__name__}": benchmark
        for module in modules
        for benchmark in importlib.import_module(module).BENCHMARKS
    }
    unknown = [name for name in only if not any(name in full_name.split(".") for full_name in available)]
    if unknown:
        sys.exit(f"There is no benchmark {unknown[0]!r}. Available: {', '.join(available)}.")
    return {name: benchmark for name, benchmark in available.items() if not only or set(only) & set(name.split("."))}


def save(figures: list[Figure]) -> None:
    """Write the table to this folder's README.md and the chart to its picture."""
    table = markdown_table(figures)
    text = README.read_text(encoding="utf-8")
    README.write_text(_TABLE.sub(lambda match: f"{match[1]}{table}\n{match[2]}", text), encoding="utf-8")
    CHART.write_text(picture.growth(figures), encoding="utf-8")


def main() -> None:
    """Run the benchmarks one after another, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a few rows, to check that they work")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these modules or functions")
    parser.add_argument("--save", action="store_true", help="write the table and the chart of README.md in this folder")
    arguments = parser.parse_args()
    if arguments.save and (arguments.small or arguments.only):
        parser.error("--save needs all figures at full size: omit --small and --only")
    if missing := [name for name in _PEERS if not importlib.util.find_spec(name)]:
        sys.exit(f"{' and '.join(missing)} cannot be found. Run: pip install 'invoca-bulk[benchmark]'")
    figures = []
    for name, benchmark in benchmarks(arguments.only).items():
        print(f"{name} …", file=sys.stderr, flush=True)
        figures += benchmark(Size.SMALL if arguments.small else Size.FULL)
    print(markdown_table(figures))
    if arguments.save:
        save(figures)


if __name__ == "__main__":
    main()
