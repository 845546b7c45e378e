"""What 1,500 slow clients of a controller's port cost its loop, and those who ask in earnest.

    python benchmarks/slow_clients.py [--clients 1500] [--seconds 20]

A real port on 127.0.0.1 in a process that may open 256 files, as the loop beside it opens one every
few milliseconds. The clients are of this process, whose own limit is raised: each sends a byte a
second and connects again when it is dropped. Recorded: how often the loop could not open a file,
how long `/healthz` took, the most descriptors of the port's process, its lines of log.
"""

import argparse
import json
import os
import platform
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
FILES = 256
PROGRAM = """
import resource, sys, tempfile, threading, time
from pathlib import Path
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.monitoring.port import Port
from ntlbg_service.monitoring.sampling import Sampler
from ntlbg_service.monitoring.loop_metrics import LoopMetrics
from ntlbg_service.storage.local import LocalStorage
folder, files = Path(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
ledger = Ledger(open_database(f"sqlite:///{folder / 'ledger.db'}"), time.time)
sampler = Sampler(ledger, LocalStorage(folder / "storage"), lambda: (), {})
said = []
loop_metrics = LoopMetrics()
port = Port("127.0.0.1", 0, loop_metrics, sampler, said.append)
port.open()
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
print(port.url, flush=True)
failed, looks, most = 0, 0, 0
while not ended.wait(0.005):
    loop_metrics.beat()
    looks += 1
    try:
        with open(folder / "ledger.db", "rb"):
            most = max(most, len(list(Path("/proc/self/fd").iterdir())))
    except OSError:
        failed += 1
print(looks, failed, most, len(said), flush=True)
port.close()
"""


def annoy(url: str, number: int, seconds: float) -> tuple[int, list[float]]:
    """Keep so many slow clients busy; how often one was dropped, and seconds of each honest
    request."""
    host, _, port = url.removeprefix("http://").partition(":")
    selector, dropped, took = selectors.DefaultSelector(), 0, []

    def connect() -> None:
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex((host, int(port)))
        selector.register(client, selectors.EVENT_READ)

    for _ in range(number):
        connect()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        begun = time.monotonic()
        with urllib.request.urlopen(f"{url}/healthz", timeout=seconds) as answer:  # nosec B310
            answer.read()
        took.append(time.monotonic() - begun)
        for key, _ in selector.select(1.0):
            selector.unregister(key.fileobj)
            key.fileobj.close()  # type: ignore[union-attr]
            dropped += 1
            connect()
        for key in selector.get_map().values():
            try:
                key.fileobj.send(b"G")  # type: ignore[union-attr]
            except OSError:
                continue
    for key in list(selector.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]
    return dropped, took


def main() -> None:
    """Measure, print, record."""
    import tempfile

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=1500)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, options.clients + 200), hard))
    with tempfile.TemporaryDirectory(prefix="ntlbg-bench-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, folder, str(FILES)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            dropped, took = annoy(url, options.clients, options.seconds)
            process.stdin.close()
            looks, failed, most, lines = map(int, process.stdout.readline().split())
        finally:
            process.kill()
            process.wait()
    found = {
        "benchmark": "slow_clients",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.platform()}, shared",
        "versions": {"python": platform.python_version()},
        "load average": os.getloadavg()[0],
        "clients": options.clients,
        "seconds": options.seconds,
        "descriptors allowed": FILES,
        "clients dropped": dropped,
        "loop: files opened": looks - failed,
        "loop: files not opened": failed,
        "most descriptors": most,
        "lines of log": lines,
        "healthz: requests": len(took),
        "healthz: median s": round(statistics.median(took), 4),
        "healthz: most s": round(max(took), 4),
    }
    print(json.dumps(found, indent=1))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "slow_clients.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
