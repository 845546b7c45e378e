"""Entry point `python -m ntlbg_service.runner SPEC`: claim the attempt, then run it."""

import json
import sys
from pathlib import Path

from ntlbg_service.domain.launch import LaunchSpec, Work
from ntlbg_service.domain.resolve import parse
from ntlbg_service.process.permissions import follow
from ntlbg_service.process.redaction import redacted_output
from ntlbg_service.storage.claims import claim_of_this_process
from ntlbg_service.storage.homes import bound
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import AlreadyWrittenError, StorageUnavailableError


def main(spec_path: Path) -> int:
    """Run the attempt of a spec and return the exit code.

    It is 0 where the attempt ended with an exit record, whatever that says; 1 where the storage was
    moved away or did not take one. The driver's output, including that of its workers, is the
    attempt's log.
    """
    with redacted_output():
        try:
            return _carry(spec_path)
        except StorageUnavailableError as error:
            print(f"the attempt ends without an exit record: {error}")
            return 1


def _carry(spec_path: Path) -> int:
    spec = parse(LaunchSpec, json.loads(spec_path.read_text()), str(spec_path))
    follow(Path(spec.storage))
    storage = bound(Path(spec.storage))
    keys = AttemptKeys(spec.run_id, spec.attempt)
    try:
        storage.put(keys.process, claim_of_this_process())
    except AlreadyWrittenError:
        print(f"attempt {spec.attempt} of run {spec.run_id} was started before; this start ends")
        return 0
    if spec.work is Work.SWEEP:
        from ntlbg_service.runner.sweep import sweep

        sweep(spec, storage)
    else:
        from ntlbg_service.runner.train import train

        train(spec, storage)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
