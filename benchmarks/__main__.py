"""Every benchmark, one after the other: `make bench`, or `python -m benchmarks --quick`.

Each says its tables as Markdown, which `docs/performance.md` explains. It takes some half an hour, and a quiet machine;
`--quick` takes some minutes and is for seeing that everything works.
"""

from __future__ import annotations

import sys

from benchmarks import admin, applying, boot, intake
from benchmarks.harness import say

ALL = (intake, applying, admin, boot)


def main() -> int:
    for one in ALL:
        say(f"\n## {one.__name__.rpartition('.')[2]}\n")
        one.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
