"""Fits of many variants to an inventory, each distinct shape once."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ntlbg_model.config import Config, DataConfig, SelectionConfig, TrainingConfig
from ntlbg_service.domain.fitting.estimates import CLOSED_FORM, Estimates
from ntlbg_service.domain.fitting.fit import Fit, Misfit, fit
from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup
from ntlbg_service.domain.hardware.profiles import CPU
from ntlbg_service.domain.scheduling.sharing import SIZES, as_plain, on_part

_TRAINING, _SELECTION = TrainingConfig(), SelectionConfig()


def shape_of(config: Config) -> Config:
    """A config with what neither memory nor time depends on at its default.

    Two variants of one shape have the same fits. An option that is not named here counts as one
    that matters.
    """
    return replace(
        config,
        data=DataConfig(),
        model=replace(config.model, lora_alpha=1),
        training=replace(
            config.training,
            learning_rate=_TRAINING.learning_rate,
            selector_learning_rate=_TRAINING.selector_learning_rate,
            weight_decay=_TRAINING.weight_decay,
            warmup_steps=0,
            lr_scheduler=_TRAINING.lr_scheduler,
            max_grad_norm=_TRAINING.max_grad_norm,
            save_steps=_TRAINING.save_steps,
            logging_steps=_TRAINING.logging_steps,
        ),
        selection=replace(
            config.selection,
            temperature=_SELECTION.temperature,
            uniform_floor=_SELECTION.uniform_floor,
            contour_quantile=_SELECTION.contour_quantile,
            contour_width=_SELECTION.contour_width,
            min_prominence=_SELECTION.min_prominence,
        ),
    )


Fits = tuple[tuple[Fit, ...], tuple[Misfit, ...]]


@dataclass
class Fitter:
    """Fits configs to the node groups of one inventory and remembers them by shape."""

    inventory: Inventory
    estimates: Estimates = CLOSED_FORM
    known: dict[Config, Fits] = field(default_factory=dict)
    widened: dict[Config, tuple[Fit, ...]] = field(default_factory=dict)

    def __call__(self, config: Config) -> Fits:
        """Fits and misfits of a config; the same objects for configs of one shape."""
        shape = shape_of(config)
        if shape not in self.known:
            self.known[shape] = self._fit(shape)
        return self.known[shape]

    def wider(self, config: Config) -> tuple[Fit, ...]:
        """Fits of a config on more GPUs than it needs, each faster than on half as many, as far as
        the runner can run them.

        None where the config says how many it wants.
        """
        shape = shape_of(config)
        if shape not in self.widened:
            free = shape.hardware.num_gpus is None
            self.widened[shape] = tuple(self._wider(shape)) if free else ()
        return self.widened[shape]

    def _wider(self, config: Config) -> Iterator[Fit]:
        least = {fit.profile: fit for fit in self(config)[0]}
        for group in _distinct(self.inventory):
            last = least.get(self.inventory.profile_of(group).name)
            while last is not None and last.profile != CPU.name:
                hardware = replace(config.hardware, num_gpus=2 * last.workers)
                found = self._on(group, replace(config, hardware=hardware))
                if isinstance(found, Misfit) or found.hours >= last.hours:
                    break
                if found.unsupported is not None and last.unsupported is None:
                    break
                yield found
                last = found

    def sharing(self, config: Config, fits: tuple[Fit, ...]) -> tuple[Fit, ...]:
        """Fits of a config with, for each on one GPU, the smallest part of it that holds the run
        as plainly as the whole card; where none does, the whole card."""
        return tuple(self._part(shape_of(config), whole) for whole in fits)

    def _part(self, config: Config, whole: Fit) -> Fit:
        if whole.workers > 1 or whole.profile == CPU.name:
            return whole
        alike = (
            group
            for group in _distinct(self.inventory)
            if self.inventory.profile_of(group).name == whole.profile
        )
        group = next(alike)
        profile = self.inventory.profile_of(group)
        for runs in SIZES:
            card = replace(profile, usable_gib=profile.usable_gib / runs)
            found = fit(config, card, group.shape, estimates=self.estimates)
            if isinstance(found, Fit) and as_plain(found, whole):
                return on_part(found, runs)
        return whole

    def _fit(self, config: Config) -> Fits:
        results = [self._on(group, config) for group in _distinct(self.inventory)]
        fits = tuple(result for result in results if isinstance(result, Fit))
        misfits = tuple(result for result in results if isinstance(result, Misfit))
        return fits, misfits

    def _on(self, group: NodeGroup, config: Config) -> Fit | Misfit:
        profile = self.inventory.profile_of(group)
        return fit(config, profile, group.shape, nodes=group.most, estimates=self.estimates)


def _distinct(inventory: Inventory) -> tuple[NodeGroup, ...]:
    """Groups that differ in what a fit depends on; of like ones the largest."""
    best: dict[tuple[object, ...], NodeGroup] = {}
    for group in inventory.groups:
        key = (inventory.profile_of(group).name, group.shape)
        if key not in best or group.most > best[key].most:
            best[key] = group
    return tuple(best.values())
