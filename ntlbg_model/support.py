"""Which declared options are built. What is not is refused by name, never ignored. No torch."""

from collections.abc import Iterator

from ntlbg_model.config import Config


def unsupported(config: Config) -> list[str]:
    """Options of a config that ask for something not built yet, as `path = value`."""
    return [f"{path} = {value!r}" for path, value in _unbuilt(config)]


def zero3_incompatible(config: Config) -> list[str]:
    """Options by which weights are used outside the step that all workers take together, as
    `path = value`: with them the model cannot be spread (ZeRO-3)."""
    found: list[tuple[str, object]] = []
    if config.model.vision == "trained":
        found.append(("model.vision", "trained"))
    if config.selection.query == "learned":
        found.append(("selection.query", "learned"))
    if config.selection.similarity == "backbone":
        found.append(("selection.similarity", "backbone"))
    return [f"{path} = {value!r}" for path, value in found]


def _unbuilt(config: Config) -> Iterator[tuple[str, object]]:
    yield from _model(config)
    if config.model.base_model == "tiny" and config.evaluation.scoring == "letters":
        # The tiny base has no letters in its vocabulary.
        yield "evaluation.scoring", "letters"
    training = config.training
    if training.optimizer != "adamw":
        yield "training.optimizer", training.optimizer
    for part in ("train", "evaluation"):
        for index, dataset in enumerate(getattr(config.data, part)):
            if dataset.format != "longvideobench":
                yield f"data.{part}.{index}.format", dataset.format


def _model(config: Config) -> Iterator[tuple[str, object]]:
    model = config.model
    if model.quantisation != "none":
        yield "model.quantisation", model.quantisation
