"""Config files as a person would write them."""

import json
from pathlib import Path
from typing import Any

from ntlbg_service.domain.errors import UserError

WIDTH = 100


def to_text(value: Any, indent: str = "", taken: int = 0) -> str:
    """JSON with what fits on a line on one line; `taken` columns of it are used already."""
    line = json.dumps(value, ensure_ascii=False)
    outermost = not indent
    if not isinstance(value, dict | list) or not value:
        return line
    if not outermost and len(indent) + taken + len(line) < WIDTH:
        return line
    inner = indent + "  "
    if isinstance(value, list):
        lines = [f"{inner}{to_text(item, inner)}" for item in value]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    keys = [f"{json.dumps(key, ensure_ascii=False)}: " for key in value]
    lines = [
        f"{inner}{key}{to_text(item, inner, len(key))}"
        for key, item in zip(keys, value.values(), strict=True)
    ]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def check_output(output: Path, *, force: bool) -> None:
    """Raise UserError where there is a file already and it is not `force`d."""
    if output.is_dir():
        raise UserError(f"--output {output}: is a folder")
    if output.exists() and not force:
        raise UserError(f"--output {output}: is there already; --force replaces it")


def write_config(values: dict[str, Any], output: Path) -> None:
    """Write a config file, and its folder where there is none. Raises UserError."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(to_text(values) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"--output {output}: cannot be written: {error.strerror}") from None
