"""A frozen vision tower beside a model that is spread over workers.

ZeRO-3 gathers each weight from all workers when a module comes to use it, so that all must use the
same ones at the same time. A frozen tower looks at videos whenever a worker needs them, and not at
what it remembers: it stays whole on every worker, as an attribute that is no submodule.
"""

from torch import Tensor, nn

from ntlbg_model.backbone.model import Backbone

NAME = "visual"


def replicate_tower(backbone: Backbone) -> None:
    """Take the tower out of what wraps, spreads and saves the model. It answers by its name."""
    owner: nn.Module = backbone.base.model
    tower = owner._modules.pop(NAME)
    owner.__dict__[NAME] = tower


def weights_beside(backbone: Backbone) -> dict[str, Tensor]:
    """Weights of a tower that stands beside, by their names in the base model; none else."""
    owner = backbone.base.model
    if NAME not in owner.__dict__:
        return {}
    return {f"model.{NAME}.{name}": value for name, value in owner.visual.state_dict().items()}
