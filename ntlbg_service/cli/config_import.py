"""`ntlbg config import`: files of the published NTLBG-LLM layout into this project's."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ntlbg_service.cli.options import FILE

if TYPE_CHECKING:
    from ntlbg_service.domain.published_reading import Remark

MAIN = "longvideo_config.json"
SHIPPED = Path("configs") / MAIN


@dataclass(frozen=True, kw_only=True)
class Main:
    """The main config that an imported suite builds on."""

    path: Path
    """Where it lies, or will lie, in our layout."""
    values: dict[str, Any]
    """Its content in our layout."""
    batch: tuple[int, int]
    """Batch size and accumulation, where it was a published file."""
    imported: bool
    """Whether it is converted along with the suite."""


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--output",
    type=FILE,
    default=Path("imported"),
    show_default=True,
    help="A folder, or the file to write (then what belongs to it goes beside it).",
)
@click.option("--config", "main", type=FILE, help="The main config of an experiment file.")
@click.option("--overwrite", is_flag=True, help="Replace files that have other content.")
def command(file: Path, output: Path, main: Path | None, overwrite: bool) -> None:
    """Convert FILE, a main config or an experiment file of the published layout.

    Says every decision it had to take, and every key that is not used, by its path.
    """
    from ntlbg_service.domain.errors import UserError
    from ntlbg_service.domain.published import is_main, is_published
    from ntlbg_service.loading import read_any

    values = read_any(file)
    if not is_published(values):
        raise UserError(f"{file}: has none of the published layout's keys; nothing to import")
    target = output if output.suffix == ".json" else output / file.name
    if is_main(values):
        written = {target: _main(values, file)}
    else:
        written = _suite(values, file, target, main)
    _check(written)
    _write(written, file, overwrite)


def _main(values: dict[str, Any], file: Path) -> dict[str, Any]:
    from ntlbg_service.domain.published import import_main

    imported = import_main(values, str(file))
    _say(imported.remarks, file)
    return imported.values


def _suite(
    values: dict[str, Any], file: Path, target: Path, asked: Path | None
) -> dict[Path, dict[str, Any]]:
    """The suite with what belongs to it: a converted main config, and a scale for the data."""
    from ntlbg_service.domain.published_suites import SCALE, import_suite

    main = _find_main(values, file, target, asked)
    scale_path = target.parent / "scales" / f"{SCALE}.json"
    scale = _readable(main.values)
    imported = import_suite(
        values,
        str(file),
        config=Path(os.path.relpath(main.path, target.parent)).as_posix(),
        scale=f"scales/{SCALE}.json" if scale else None,
        batch=main.batch,
    )
    _say(imported.remarks, file)
    return {
        **({main.path: main.values} if main.imported else {}),
        **({scale_path: scale} if scale else {}),
        target: imported.values,
    }


def _find_main(values: dict[str, Any], file: Path, target: Path, asked: Path | None) -> Main:
    """The main config asked for, else the file's base_config, else a main config near it."""
    from ntlbg_service.domain.errors import UserError
    from ntlbg_service.domain.published import batch_of, is_published
    from ntlbg_service.loading import read_any

    named = values.get("base_config")
    beside = file.parent / named if isinstance(named, str) else file.parent / MAIN
    near = (asked,) if asked else (beside, file.parent / MAIN, file.parent.parent / MAIN, SHIPPED)
    found = next((path for path in near if path.is_file()), None)
    if found is None:
        raise UserError(f"{file}: base_config: no main config {near[0]}; name one with --config")
    if found != beside and asked is None:
        click.echo(f"{file}: base_config: {named or 'none'} is not there; main config is {found}")
    main = read_any(found)
    if not is_published(main):
        return Main(path=found, values=main, batch=(1, 1), imported=False)
    path = target.parent / found.name
    return Main(path=path, values=_main(main, found), batch=batch_of(main), imported=True)


def _readable(main: dict[str, Any]) -> dict[str, Any] | None:
    """A scale of the data sets that have a reader, where the main config has others as well."""
    data = main.get("data")
    parts = data if isinstance(data, dict) else {}
    kept = {
        part: [item for item in items if item.get("format", "longvideobench") == "longvideobench"]
        for part, items in parts.items()
    }
    if kept == parts or not all(kept.values()):
        return None
    click.echo(
        "scale longvideobench: keeps to LongVideoBench, the one data set with a reader today; "
        "remove 'scale' from the suite for all"
    )
    overrides = {f"data.{part}": items for part, items in kept.items()}
    return {"description": "LongVideoBench alone", "overrides": overrides}


def _check(written: dict[Path, dict[str, Any]]) -> None:
    """Refuse what would not validate before anything is written."""
    from ntlbg_service.domain.resolve import Layer, parse, resolve
    from ntlbg_service.domain.suite import SuiteSpec
    from ntlbg_service.loading import NOT_SECTIONS

    for path, values in written.items():
        if "groups" in values:
            parse(SuiteSpec, values, str(path))
        elif "categories" in values:
            sections = {key: value for key, value in values.items() if key not in NOT_SECTIONS}
            base = Layer(str(path), sections)
            resolve([base])
            for name, category in values["categories"].items():
                resolve([base, Layer(f"{path} categories.{name}", category["overrides"])])


def _say(remarks: "Sequence[Remark]", file: Path) -> None:
    for kind, heading in (("decided", "decided"), ("unused", "not used")):
        chosen = [remark for remark in remarks if remark.kind == kind and remark.text]
        if chosen:
            click.echo(f"{file}: {heading}")
        for remark in chosen:
            click.echo(f"  {remark.path}: {remark.text}")


def _write(written: dict[Path, dict[str, Any]], file: Path, overwrite: bool) -> None:
    from ntlbg_service.domain.errors import UserError

    texts = {
        path: json.dumps(values, indent=2, ensure_ascii=False) + "\n"
        for path, values in written.items()
    }
    for path, text in texts.items():
        if path.resolve() == file.resolve():
            raise UserError(f"{path}: is the file to import; name another --output")
        if path.exists() and path.read_text(encoding="utf-8") != text and not overwrite:
            raise UserError(f"{path}: exists with other content; --overwrite replaces it")
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}") from None
        click.echo(f"wrote {path}")
