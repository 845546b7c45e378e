"""`python -m tests.support.faults.controller_process HOME`: a controller to be killed.

It prints each door it comes to, and each step, so that whoever kills it need not wait by a clock.
Its days are short: time runs a few hundred times faster.
"""

import os
import sys
import time
from pathlib import Path

from ntlbg_service.controller.lease import Lease
from ntlbg_service.controller.oom_fallback import ClusterView
from ntlbg_service.controller.service import Service
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.notifications.webhook import Webhook
from ntlbg_service.process.wakeup import Wakeup
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.storage.local import LocalStorage
from tests.support.faults.files import FileExecutor, FileTracker
from tests.support.faults.schedules import LEASE, NODES

FASTER = 500.0


def fast() -> float:
    """Unix time that runs faster."""
    return time.time() * FASTER


def main(home: Path) -> None:
    """Lead until every run has ended, and the tracker and the receiver know."""
    workspace = Workspace(home=home, data_root=home)
    storage = LocalStorage(workspace.storage)
    ledger = Ledger(open_database(workspace.ledger_url), fast)
    service = Service(
        ledger=ledger,
        storage=storage,
        executor=FileExecutor(storage),
        tracker=FileTracker(file=home / "told.jsonl"),  # type: ignore[arg-type]
        workspace=workspace,
        ground=ClusterView(inventory=NODES),
        lease=Lease(ledger, fast, seconds=LEASE),
        clock=fast,
        webhook=Webhook(os.environ["NTLBG_NOTIFY"], "NTLBG_NOTIFY"),
        at_point=lambda name: print(name, flush=True),
    )
    wake = Wakeup(workspace.wake)
    while service.step() or not service.leads or ledger.unsent():
        print("step", flush=True)
        wake.listen(service.leads)
        wake.wait(0.02)
    assert service.flush()
    service.resign()
    print("done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
