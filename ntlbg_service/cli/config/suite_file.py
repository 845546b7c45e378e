"""A shipped suite as the values of a file of one's own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ntlbg_service.cli.config.shipped import seen_from
from ntlbg_service.cli.inventory_choice import known_kinds
from ntlbg_service.config_files.json_files import read_json
from ntlbg_service.config_files.loader import load_main, load_suite
from ntlbg_service.domain.expansion import expand
from ntlbg_service.domain.resolve import parse
from ntlbg_service.domain.suite import SuiteSpec


def suite_file(
    source: Path,
    *,
    folder: Path,
    base: Path | None = None,
    name: str | None = None,
    category: str | None = None,
    profile: str | None = None,
) -> dict[str, Any]:
    """The suite `source` as it reads in `folder`; checked on `base`, or on its own base config.

    Raises UserError where a variant is none on that base.
    """
    values = read_json(source)
    on = base or source.parent / values["config"]
    values["config"] = seen_from(on, folder)
    if "scales" in values:
        values["scales"] = {
            scale: seen_from(source.parent / path, folder)
            for scale, path in values["scales"].items()
        }
    if name is not None:
        values["name"] = name
    if category is not None:
        values["category"] = category
    if profile is not None:
        values["overrides"] = values.get("overrides", {}) | {"hardware.profile": profile}
    _check(values, source, on)
    return values


def _check(values: dict[str, Any], source: Path, base: Path) -> None:
    kinds = known_kinds()
    sections, categories = load_main(base, kinds)
    files = replace(
        load_suite(source, kinds=kinds),
        suite=parse(SuiteSpec, values, str(source)),
        base_source=str(base),
        base=sections,
        categories=categories,
    )
    expand(files)
