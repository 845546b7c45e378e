"""`ntlbg cluster label`: what a node has to be started with so that plans know its GPUs."""

import click


@click.command()
@click.option("--kind", help="The kind of its GPUs, for a node that is not this machine.")
def label(kind: str | None) -> None:
    """Print the `ray start` words that say what this machine's GPUs are.

    They name the kind, so that a node counts before NVML was read on it, and keep from Ray what
    runs should not be given: GPUs that are sick, busy or of another kind, and whole cards that
    have MIG slices.
    """
    from ntlbg_service.cli.inventory_choice import known_kinds
    from ntlbg_service.domain.hardware.node_label import start_words
    from ntlbg_service.domain.hardware.profiles import profile_named
    from ntlbg_service.nodes.inventory import read_node

    kinds = known_kinds()
    if kind is not None:
        click.echo(f"ray start --labels {_label(profile_named(kind, '--kind', kinds).name)}")
        return
    node = read_node()
    words = start_words(node.gpus, kinds, node.note)
    for line in words.notes:
        click.echo(line, err=True)
    devices = f"CUDA_VISIBLE_DEVICES={','.join(words.visible)} " if words.visible else ""
    click.echo(f"{devices}ray start --num-gpus {words.gpus} --labels {_label(words.kind)}")


def _label(kind: str) -> str:
    from ntlbg_service.domain.hardware.labels import PROFILE

    return f"{PROFILE}={kind}"
