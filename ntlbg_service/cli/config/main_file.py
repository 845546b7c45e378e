"""A whole main config of one kind of GPU, as the values of a file."""

from typing import Any

from ntlbg_model.config import Config
from ntlbg_service.cli.config.named import Name, plain
from ntlbg_service.cli.plan_words import batch, settings, where
from ntlbg_service.config_files.json_files import read_json
from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.fitting.optimisation import applied


def main_file(source: Name, config: Config, found: Fit | None, name: str) -> dict[str, Any]:
    """Every option of `config`, with what it can say of a fit, under a header.

    The category that was asked for stays a category of the file, so that suites on it that name
    it go on; without one, all of the source's do.
    """
    values = read_json(source.file)
    categories = {} if "groups" in values else values.get("categories", {})
    if source.part in categories:
        categories = {source.part: categories[source.part]}
    written = config if found is None else applied(config, found)
    described = [values.get("description", ""), *(_of(categories, source.part))]
    if found is not None:
        described.append(settings_words(found))
    return {
        "name": name,
        "description": ". ".join(text.rstrip(".") for text in described if text),
        **plain(written),
        **({"categories": categories} if categories else {}),
    }


def _of(categories: dict[str, Any], part: str | None) -> list[str]:
    return [categories[part]["description"]] if part in categories else []


def settings_words(found: Fit) -> str:
    """'Fitted to 8 x A100-40GB: bf16 flash_attention_2, batch 2 x 2 x 8, ...'."""
    return (
        f"Fitted to {where(found)}: {found.numerics}, batch {batch(found)}, {settings(found)}, "
        f"predicted peak {found.predicted_gib:.1f} of {found.limit_gib:.1f} GiB"
    )
