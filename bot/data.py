"""`hourglass data …` and `hourglass decrypt`: what people do with data and keys at their own terminal."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from jobs import pushing
from jobs.clock import SystemClock
from jobs.datakeys import VARIABLE
from jobs.errors import BadRequest, StoreError
from jobs.settings import Settings, load
from trainer import sealed
from trainer.sealed import Ring, SealError
from trainer.storage import Store, StoreFault, open_store

INTERRUPTED = 130  # what a shell calls a program that Ctrl-C ended


def push(folder: Path, name: str, *, encrypt: bool, team: str) -> int:
    """Send a folder into the store and print the line that names it; return the exit code."""
    settings = load()
    key = settings.data_keys().sealing(team or settings.team) if encrypt else None
    files = pushing.survey(folder)
    called = pushing.checked_name(name) if name else pushing.name_of(folder)
    console = Console(stderr=True)
    # The line to paste is all that goes to the standard output.
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task(f"{called}, {len(files):,} files", total=sum(file.size for file in files))
        sending = pushing.Push(
            _store(settings),
            called,
            files,
            key=key,
            now=SystemClock().now().timestamp(),
            progress=lambda done, sent: bar.advance(task, done),
        )
        try:
            sent = sending.run()
        except KeyboardInterrupt:
            bar.stop()
            console.print(f"Stopped. Nothing of {called} is visible; type the same line again to go on from here.")
            return INTERRUPTED
    there = sent.dataset.bytes - sent.sent
    known = f", {_size(there)} of it there already" if there else ""
    # Where it is: the machine at which this is typed need not be set up as the bot's is.
    how = f"{known}{', encrypted' if key else ''}, sent to {settings.store_uri()}"
    console.print(f"{_size(sent.dataset.bytes)} in {_files(len(files))}{how}.", soft_wrap=True, highlight=False)
    console.print("In .hourglass.yml:", highlight=False)
    typer.echo(f'inputs: [{{from: "{sent.reference}", to: data/{called}}}]')
    return 0


def show(*, team: str) -> None:
    """Print every dataset in the store."""
    settings = load()
    shown = pushing.listed(_store(settings), settings.data_keys().of(team or settings.team))
    if not shown:
        typer.echo("Nothing was pushed yet: `hourglass data push DIR` sends a folder.")
    for one in shown:
        if one.dataset is None:
            typer.echo(f"{one.reference:48} {one.trouble}")
            continue
        at = datetime.fromtimestamp(one.dataset.at, UTC)
        how = f"encrypted with {one.key_id}" if one.key_id else "plain"
        size = _size(one.dataset.bytes)
        typer.echo(f"{one.reference:48} {size:>9}  {_files(len(one.dataset.files)):>13}  {at:%Y-%m-%d %H:%M}  {how}")


def new_key() -> None:
    """Print a new key, and on standard error what to do with it."""
    key = sealed.new_key()
    typer.echo(key.word)
    sys.stderr.write(
        f"Key {key.id}. Set it as {VARIABLE} where the bot runs, and keep it where passwords are kept: what it\n"
        "encrypts can be read by nobody without it. To change keys later, put the new one first and keep the old:\n"
        f"{VARIABLE}=hgk_new,hgk_old\n"
    )


def decrypt(file: Path, to: Path | None, *, team: str) -> None:
    """Write what a sealed file holds; nothing is left where it cannot be opened whole. Raises `HourglassError`."""
    settings = load()
    target = to or (file.with_suffix("") if file.suffix == sealed.SUFFIX else file.with_name(f"{file.name}.plain"))
    if target.is_dir():
        target = target / file.name.removesuffix(sealed.SUFFIX)
    if target.exists():
        raise BadRequest(f"{target} is there already. Remove it, or name another place with --to.")
    try:
        sealed.unseal_file(file, target, _all_keys(settings, team))
    except OSError as error:
        raise BadRequest(f"{error.filename or file}: {error.strerror}.") from error
    except SealError as error:
        raise BadRequest(f"{file.name}: {error}") from error
    typer.echo(str(target))


def _all_keys(settings: Settings, team: str) -> Ring:
    """Return a team's keys, or every key that is set: at one's own computer nobody has to know whose file it is."""
    keys = settings.data_keys()
    return keys.of(team) if team else Ring(tuple(key for of_team in keys.keys.values() for key in of_team))


def _store(settings: Settings) -> Store:
    try:
        return open_store(settings.store_uri())
    except StoreFault as error:
        raise StoreError(str(error)) from error


def _files(count: int) -> str:
    return f"{count:,} file" if count == 1 else f"{count:,} files"


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
