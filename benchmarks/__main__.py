"""All benchmarks, the cheap ones first: python -m benchmarks [--quick] [NAME ...]."""

from __future__ import annotations

import argparse
import subprocess
import sys

NAMES = (
    "startup",
    "lint",
    "protocol",
    "index",
    "drift",
    "torch_files",
    "group_sequential",
    "beta_loss",
    "components",
    "turning_point",
    "agreement",
    "floor",
    "peers",
    "growth",
    "memory",
    "scale",
    "remote",
    "diff",
    "seal_peers",
    "imports",
)


def main() -> int:
    """Each in a process of its own: what a parent has loaded would show in its children's peak memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"among {', '.join(NAMES)}; all if none is given")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}")
    options = ["--quick"] if given.quick else []
    failed = []
    for name in given.names or NAMES:
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options]).returncode:
            failed.append(name)
    if failed:
        print(f"\nnot completed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
