"""Labels by which an operator says of a node what Ray cannot know, as `ray start --labels`."""

from collections.abc import Mapping

PROFILE = "ntlbg.io/profile"
"""What kind its GPUs are. Ray's own label knows a card's name, not how much memory it has."""
GPUS = "ntlbg.io/gpus"
"""`simulated`: Ray hands out GPUs that are not there, and what runs on them runs on the CPU."""
NODE = "ray.io/node-id"
"""Ray's own: the one node of this id."""


def simulated(labels: Mapping[str, str]) -> bool:
    """Whether a node's GPUs are only said to be there."""
    return labels.get(GPUS) == "simulated"
