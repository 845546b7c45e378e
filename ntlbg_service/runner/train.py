"""The driver of one training: a Ray Train job with the fit's workers."""

import time
import traceback

import ray
from ray.train import FailureConfig, RunConfig
from ray.train.torch import TorchConfig, TorchTrainer

from ntlbg_service.domain.launch import ExitRecord, LaunchSpec, to_json
from ntlbg_service.domain.liveness.timeouts import Timeouts
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.runner.cluster import NoRayError, connection
from ntlbg_service.runner.device import device_of, simulated_for
from ntlbg_service.runner.failures import classify_end, kernel_kills
from ntlbg_service.runner.scaling import scaling_of
from ntlbg_service.runner.worker import work
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage


def train(spec: LaunchSpec, storage: LocalStorage) -> None:
    """Run an attempt to its exit record."""
    try:
        with connection(cpus=spec.fit.workers * spec.fit.cores):
            run_trainer(spec, storage)
    except NoRayError as error:
        traceback.print_exc()
        died = _died(spec, FailureClass.INFRASTRUCTURE, str(error))
        storage.put(AttemptKeys(spec.run_id, spec.attempt).exit, to_json(died))


def labels_of_nodes() -> dict[str, dict[str, str]]:
    """Return the labels of every live node of the cluster, by Ray's id of it."""
    return {node["NodeID"]: node.get("Labels", {}) for node in ray.nodes() if node["Alive"]}


def run_trainer(spec: LaunchSpec, storage: LocalStorage) -> None:
    """Fit the TorchTrainer of an attempt on the connected Ray.

    The workers write the exit record; where they died without one, this does.
    """
    keys = AttemptKeys(spec.run_id, spec.attempt)
    labels = labels_of_nodes()
    gone = [node for node in spec.nodes if node not in labels]
    if gone:
        # Ray would wait for the nodes without end.
        message = f"the cluster has no node {', '.join(gone)} any more"
        storage.put(keys.exit, to_json(_died(spec, FailureClass.INFRASTRUCTURE, message)))
        return
    device = device_of(spec.fit, simulated_for(spec.fit, labels, spec.nodes))
    trainer = TorchTrainer(
        work,
        train_loop_config={
            "spec": to_json(spec),
            "simulated": device.simulated,
            "home": storage.home,
        },
        scaling_config=scaling_of(spec.fit, list(labels.values()), spec.nodes),
        # Peers wait in a collective while rank 0 waits for a checkpoint to be committed: the
        # controller's timeout, not torch's, ends a gang that hangs.
        torch_config=TorchConfig(backend=device.backend, timeout_s=int(Timeouts.progress)),
        run_config=RunConfig(
            name="train",
            storage_path=str(storage.path(keys.folder)),
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
        ),
    )
    # Ray's own processes would create the folder with their own umask.
    storage.path(keys.work).mkdir(parents=True, exist_ok=True)
    killed = kernel_kills()
    try:
        trainer.fit()
    # The attempt must end with an exit record, whatever ended the workers.
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
        if storage.get(keys.exit) is None:
            died = _died(spec, *classify_end(error, kernel_kills() - killed))
            storage.put(keys.exit, to_json(died))


def _died(spec: LaunchSpec, failure: FailureClass, message: str) -> ExitRecord:
    return ExitRecord(
        run_id=spec.run_id,
        attempt=spec.attempt,
        finished=False,
        failure=failure,
        message=message,
        ended_at=time.time(),
    )
