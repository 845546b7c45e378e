"""What the devices of a fit are in fact: CUDA's, the CPU's, or a CPU in place of simulated GPUs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ntlbg_model.footprint import Attention, Precision
from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.hardware.labels import PROFILE, simulated
from ntlbg_service.runner.scaling import names_of


@dataclass(frozen=True, kw_only=True)
class Device:
    """What a worker computes on and with."""

    name: str
    """As torch calls it: `cuda` or `cpu`."""
    precision: Precision
    attention: Attention
    simulated: bool = False
    """It stands for a GPU, so its memory says nothing about that."""

    @property
    def backend(self) -> str:
        """How workers exchange gradients."""
        return "gloo" if self.name == "cpu" else "nccl"


def device_of(fit: Fit, in_place_of_gpus: bool = False) -> Device:
    """What the fit's workers compute on. A CPU in the place of simulated GPUs computes in fp32,
    whatever the fit would have had them do."""
    if fit.profile != "cpu" and in_place_of_gpus:
        return Device(name="cpu", precision="fp32", attention="sdpa", simulated=True)
    name = "cpu" if fit.profile == "cpu" else "cuda"
    return Device(name=name, precision=fit.precision, attention=fit.attention)


def simulated_for(
    fit: Fit, labels: Mapping[str, Mapping[str, str]], placed: Sequence[str] = ()
) -> bool:
    """Whether the GPUs of a fit are simulated: those of the nodes it was placed on, else all that
    the cluster has of its kind. `labels` are those of every node by Ray's id."""
    own = [labels[node] for node in placed if node in labels]
    alike = [each for each in labels.values() if each.get(PROFILE) in names_of(fit.profile)]
    concerned = own or alike
    return bool(concerned) and all(map(simulated, concerned))
