"""How many secrets are found in texts, and how many texts without one are taken for one.

    python benchmarks/secret_detection.py [--seeds 20] [--out benchmarks/results]

Ours (`ntlbg_service/domain/secrets.py`) beside detect-secrets, on the texts of
`benchmarks/workloads/secret_texts.py`: links, hashes, names of tensors, configs, answers, prose,
logs and paths without a secret; tokens and keys of many issuers, and passwords by name. A secret
counts as found by ours where fewer than ten characters of it are left; by detect-secrets already
where it says anything of the text. That reads files, a log and a program's source in different
ways, and single strings in a third; each is measured with its default plugins, and without those
that only look for disorder. It is given one seed, ours `--seeds`.
"""

import argparse
import json
import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from detect_secrets.core.scan import scan_file, scan_line
from detect_secrets.settings import default_settings, get_settings, transient_settings
from workloads.secret_texts import harmless, secrets, shows

from ntlbg_service.domain.secrets import Secrets

TARGETS = {"found": 0.99, "false_alarms": 0.005}
DISORDER = {"Base64HighEntropyString", "HexHighEntropyString"}

Flags = Callable[[str], bool]


def rates(flags: Flags, hides: Callable[[str, str], bool], seeds: int) -> dict[str, Any]:
    """Rates over texts of so many seeds, seconds, and the kinds of the texts judged wrongly."""
    began = time.perf_counter()
    plain = [text for seed in range(1, seeds + 1) for text in harmless(seed)]
    secret = [text for seed in range(1, seeds + 1) for text in secrets(seed)]
    wrong = Counter(text.kind for text in plain if flags(text.text))
    missed = Counter(text.kind for text in secret if not hides(text.text, text.secret or ""))
    return {
        "harmless": len(plain),
        "secret": len(secret),
        "false_alarms": wrong.total() / len(plain),
        "found": 1 - missed.total() / len(secret),
        "texts_per_second": (len(plain) + len(secret)) / (time.perf_counter() - began),
        "false_alarms_by_kind": dict(wrong.most_common()),
        "missed_by_kind": dict(missed.most_common()),
    }


def ours(seeds: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of texts from elsewhere, and of what this program prints of its own."""
    known = Secrets()
    for name, hide in (("redacted", known.redacted), ("printed", known.printed)):
        yield (
            f"ours, {name}",
            rates(
                lambda text, hide=hide: hide(text) != text,
                lambda text, secret, hide=hide: not shows(hide(text), secret),
                seeds,
            ),
        )


def detect_secrets() -> Iterator[tuple[str, dict[str, Any]]]:
    """Of detect-secrets, in each way to use it."""
    with default_settings():
        default = get_settings().json()
    known = [one for one in default["plugins_used"] if one["name"] not in DISORDER]
    with TemporaryDirectory() as folder:
        for plugins, chosen in (("all", default["plugins_used"]), ("no disorder", known)):
            with transient_settings({**default, "plugins_used": chosen}):
                for suffix in (".log", ".py"):
                    flags = _in_file(Path(folder) / f"text{suffix}")
                    found = rates(flags, lambda text, _, flags=flags: flags(text), 1)
                    yield f"detect-secrets, {plugins}, {suffix} file", found
                found = rates(_in_line, lambda text, _: _in_line(text), 1)
                yield f"detect-secrets, {plugins}, string", found


def _in_file(path: Path) -> Flags:
    def flags(text: str) -> bool:
        path.write_text(f"{text}\n")
        return any(True for _ in scan_file(str(path)))

    return flags


def _in_line(text: str) -> bool:
    return any(True for line in text.splitlines() for _ in scan_line(line))


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, one thread, shared",
        "versions": {
            "python": platform.python_version(),
            "detect-secrets": version("detect-secrets"),
        },
        "seeds": arguments.seeds,
        "targets": TARGETS,
        "detectors": {},
    }
    print(f"{'':44} false alarms     found  texts/s")
    for name, found in (*ours(arguments.seeds), *detect_secrets()):
        result["detectors"][name] = found
        print(
            f"{name:44} {found['false_alarms']:11.2%} {found['found']:10.2%} "
            f"{found['texts_per_second']:8.0f}"
        )
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "secret_detection.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"recorded in {path}")


if __name__ == "__main__":
    main()
