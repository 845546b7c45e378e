"""`ntlbg config import`: files of the published NTLBG-LLM layout into this project's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ntlbg_service.cli.config.shipped import seen_from, shipped_main
from ntlbg_service.cli.config.writing import to_text
from ntlbg_service.cli.param_types import FILE

if TYPE_CHECKING:
    from ntlbg_service.domain.published.conversion import Imported
    from ntlbg_service.domain.published.reading import Remark

MAIN = "longvideo_config.json"


@dataclass(frozen=True, kw_only=True)
class Main:
    """The main config that an imported suite builds on."""

    source: Path
    """The file it was read from."""
    path: Path
    """Where it lies, or will lie, in our layout."""
    sections: dict[str, Any]
    """Its sections in our layout."""
    batch: tuple[int, int] = (1, 1)
    """Batch size and accumulation, where it was a published file."""
    imported: "Imported | None" = None
    """What it is converted to along with the suite."""


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
@click.option("--force", is_flag=True, help="Replace files that have other content.")
def command(file: Path, output: Path, main: Path | None, force: bool) -> None:
    """Convert FILE, a main config or an experiment file of the published layout.

    Says every decision it had to take, and every key that is not used, by its path.
    """
    from ntlbg_service.config_files.json_files import read_any
    from ntlbg_service.domain.errors import UserError
    from ntlbg_service.domain.published.conversion import import_main, is_main, is_published

    values = read_any(file)
    if not is_published(values):
        raise UserError(f"{file}: has none of the published layout's keys; nothing to import")
    whole = output.suffix == ".json" and not output.is_dir()
    target = output if whole else output / file.name
    if not is_main(values):
        written = _suite(values, file, target, main)
    elif main is not None:
        raise UserError(f"--config {main}: {file} is a main config itself")
    else:
        imported = import_main(values, str(file))
        _say(imported.remarks, file)
        written = {target: imported.values}
    _write(written, file, force)


def _suite(
    values: dict[str, Any], file: Path, target: Path, asked: Path | None
) -> dict[Path, dict[str, Any]]:
    """The suite with what belongs to it: a converted main config, and a scale for the data."""
    from ntlbg_service.domain.published.suites import import_suite

    main = _find_main(values, file, target, asked)
    config = seen_from(main.path, target.parent)
    scale = f"scales/{target.name}"
    imported = import_suite(
        values, str(file), config=config, scale=scale, base=main.sections, batch=main.batch
    )
    written = {target: imported.values}
    if imported.scale:
        written[target.parent / scale] = imported.scale
    if main.imported:
        _say_main(main.imported, main)
        written[main.path] = main.imported.values
    _say(imported.remarks, file)
    return written


def _say_main(imported: "Imported", main: Main) -> None:
    """Remarks on a main config, once: not again for each experiment file that builds on it."""
    if main.path.is_file() and main.path.read_bytes() == f"{to_text(imported.values)}\n".encode():
        click.echo(f"{main.source}: imported before, to {main.path}")
    else:
        _say(imported.remarks, main.source)


def _find_main(values: dict[str, Any], file: Path, target: Path, asked: Path | None) -> Main:
    """The main config asked for, else the file's base_config, else a main config near it."""
    from ntlbg_service.config_files.json_files import read_any
    from ntlbg_service.config_files.loader import NOT_SECTIONS, load_main
    from ntlbg_service.domain.errors import UserError
    from ntlbg_service.domain.published.conversion import (
        batch_of,
        import_main,
        is_main,
        is_published,
    )

    found = _main_file(values, file, asked)
    main = read_any(found)
    if not is_published(main):
        return Main(source=found, path=found, sections=load_main(found)[0])
    if not is_main(main):
        raise UserError(f"{found}: is no main config; name one with --config")
    path = target.parent / found.name
    if path == target:
        raise UserError(f"{target}: is where the main config goes; name another --output")
    if path.resolve() == found.resolve():
        raise UserError(f"{path}: is the main config to import; name another folder to --output")
    imported = import_main(main, str(found))
    sections = {key: value for key, value in imported.values.items() if key not in NOT_SECTIONS}
    return Main(source=found, path=path, sections=sections, batch=batch_of(main), imported=imported)


def _main_file(values: dict[str, Any], file: Path, asked: Path | None) -> Path:
    from ntlbg_service.config_files.json_files import is_file
    from ntlbg_service.domain.errors import UserError

    if asked is not None:
        return asked
    named = values.get("base_config", MAIN)
    if not isinstance(named, str):
        raise UserError(f"{file}: base_config: must be a text, got {named!r}")
    beside = file.parent / named
    near = (beside, file.parent / MAIN, file.parent.parent / MAIN, Path(shipped_main()))
    found = next((path for path in near if is_file(path)), None)
    if found is None:
        raise UserError(f"{file}: base_config: no such file {beside}; name one with --config")
    if found != beside:
        click.echo(f"{file}: base_config: {beside} is not there: the main config is {found}")
    return found


def _say(remarks: "Sequence[Remark]", file: Path) -> None:
    for kind, heading in (("decided", "decided"), ("unused", "not used")):
        chosen = [remark for remark in remarks if remark.kind == kind]
        if chosen:
            click.echo(f"{file}: {heading}")
        for remark in chosen:
            click.echo("  " + " ".join(f"{remark.path}: {remark.text}".splitlines()))


def _write(written: dict[Path, dict[str, Any]], file: Path, force: bool) -> None:
    """Write all files or none: a refusal comes before the first of them."""
    from ntlbg_service.domain.errors import UserError

    texts = {path: f"{to_text(values)}\n".encode() for path, values in written.items()}
    for path, text in texts.items():
        if path.resolve() == file.resolve():
            raise UserError(f"{path}: is the file to import; name another --output")
        if path.is_dir():
            raise UserError(f"{path}: is a folder")
        if path.exists() and path.read_bytes() != text and not force:
            raise UserError(f"{path}: exists with other content; --force replaces it")
    for path, text in texts.items():
        if path.exists() and path.read_bytes() == text:
            click.echo(f"unchanged {path}")
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}") from None
        click.echo(f"wrote {path}")
