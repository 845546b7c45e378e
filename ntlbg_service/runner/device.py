"""Actual devices of a fit: CUDA's, the CPU, or a CPU in place of simulated GPUs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ntlbg_model.footprint import Attention, Precision
from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.hardware.labels import PROFILE, simulated
from ntlbg_service.runner.scaling import names_of


@dataclass(frozen=True, kw_only=True)
class Device:
    """Device of a worker, with the settings to compute on it."""

    name: str
    """Device type of torch: `cuda` or `cpu`."""
    precision: Precision
    attention: Attention
    simulated: bool = False
    """True for a CPU in place of a GPU; its memory says nothing about that GPU."""

    @property
    def backend(self) -> str:
        """Backend of torch.distributed."""
        return "gloo" if self.name == "cpu" else "nccl"


def device_of(fit: Fit, in_place_of_gpus: bool = False) -> Device:
    """Return the device of the fit's workers.

    A CPU in place of simulated GPUs computes in fp32, whatever the fit says.
    """
    if fit.profile != "cpu" and in_place_of_gpus:
        return Device(name="cpu", precision="fp32", attention="sdpa", simulated=True)
    name = "cpu" if fit.profile == "cpu" else "cuda"
    return Device(name=name, precision=fit.precision, attention=fit.attention)


def simulated_for(
    fit: Fit, labels: Mapping[str, Mapping[str, str]], placed: Sequence[str] = ()
) -> bool:
    """Return True if the GPUs of a fit are simulated.

    It checks the nodes that the fit was placed on, else all of its kind in the cluster. `labels`
    are those of every node by Ray's id.
    """
    own = [labels[node] for node in placed if node in labels]
    alike = [each for each in labels.values() if each.get(PROFILE) in names_of(fit.profile)]
    concerned = own or alike
    return bool(concerned) and all(map(simulated, concerned))
