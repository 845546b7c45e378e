"""python -m ntlbg_model.validation [--seed N]: the table; exit code 1 where a claim fails."""

import argparse
import sys

import torch

from ntlbg_model.validation.suite import run_all, table


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m ntlbg_model.validation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    checks = run_all(arguments.seed)
    print(table(checks))
    return 0 if all(check.passed for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
