"""The code of a repository that is read: what a command names and what that imports, then the rest. It is not run."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_MOST_BYTES, _LARGEST = 4_000_000, 400_000  # of code that is read, and of one file
_MOST_FILES, _MOST_FOLDERS = 2_000, 2_000
_NOT_OURS = frozenset({"node_modules", "site-packages", "venv", "env", "build", "dist", "docs", "doc", "test", "tests"})
_MOST_LOOKS = 20_000  # for files and folders that may be there
_MOST_ASKED = 200_000  # imports, most of which are known by then
_COMMENT = re.compile(r"^[ \t]*#.*", re.MULTILINE)
_NAMED = re.compile(
    r"\bcd\s+[\"']?(?P<folder>[\w./-]+)"
    r"|(?<!\S)(?:-m|--module)[\s=]+(?P<module>[A-Za-z_]\w*(?:\.\w+)*)"
    r"|(?<![\w./-])(?P<path>[\w./-]{1,300}\.(?:py|sh|bash))(?!\w)"
)
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<dots>\.*)(?P<of>[\w.]*)[ \t]+import[ \t]*(?P<names>\([^)]*|[^\n#]*)"
    r"|import[ \t]+(?P<modules>[^\n#]*))",
    re.MULTILINE,
)
_NAME = re.compile(r"\w+(?:\.\w+)*")


class Source(NamedTuple):
    """A file of code."""

    text: str
    runs: bool  # the command runs it, as far as that shows; all do where none is known


class Looks:
    """Looks for files, until that was done often enough: the code is another's, and names what it likes."""

    def __init__(self) -> None:
        self.left = _MOST_LOOKS

    def first(self, paths: Iterable[Path], top: Path) -> Sequence[Path]:
        """Return the first of some files that is there, within `top`."""
        for path in paths:
            self.left -= 1
            if self.left < 0:
                break
            if path.is_relative_to(top) and os.path.isfile(path):  # noqa: PTH113  Path's own raises for a long name
                return [path]
        return []

    def is_folder(self, path: Path, top: Path) -> bool:
        """Return whether a path is a folder within `top`."""
        self.left -= 1
        return self.left >= 0 and path.is_relative_to(top) and os.path.isdir(path)  # noqa: PTH112  as above


def named(command: str, top: Path, at: Path | None = None, looks: Looks | None = None) -> Iterator[Path]:
    """Yield the scripts that a shell's lines name of the repository at `top`; paths may begin at `at`, too."""
    at, looks = at or top, looks or Looks()
    for found in _NAMED.finditer(_COMMENT.sub("", command)):
        if looks.left <= 0:
            return
        if folder := found["folder"]:
            inner = Path(os.path.normpath(at / folder))
            at = inner if looks.is_folder(inner, top) else at
        elif module := found["module"]:
            path = module.replace(".", "/")
            forms = (one / form for one in (at, top) for form in (f"{path}.py", f"{path}/__main__.py"))
            yield from looks.first(forms, top)
        else:  # what begins with a variable, or lies elsewhere on another machine, ends as it does here
            parts = [part for part in found["path"].split("/") if part]
            ends = ("/".join(parts[begin:]) for begin in range(len(parts)))
            within = (Path(os.path.normpath(one / end)) for end in ends for one in (at, top))
            yield from looks.first(within, top)


def sources(folder: Path, scripts: Sequence[Path] = ()) -> Iterator[Source]:
    """Yield the code in a folder, within limits: what `scripts` of it run, then what lies near its top."""
    reader, waiting, all_run = _Reader(), list(scripts), True
    for path in waiting:  # which grows
        if path in reader.seen:
            continue
        text = reader.read(path)
        if path.suffix != ".py":
            waiting += named(text, folder, path.parent, reader.looks)
            continue
        waiting += reader.imports(text, path, folder)
        all_run = False
        yield Source(text, runs=True)
    for path in _walk(folder):
        if not reader.files_left:
            return
        if path not in reader.seen:
            yield Source(reader.read(path), runs=all_run)


class _Reader:
    """Reads files, each once, until there were enough."""

    def __init__(self) -> None:
        self.seen = set[Path]()
        self.files_left, self._bytes_left = _MOST_FILES, _MOST_BYTES
        self.looks, self._asked_left = Looks(), _MOST_ASKED
        self._modules: dict[tuple[Path, str], Sequence[Path]] = {}

    def read(self, path: Path) -> str:
        """Return a file's text, "" for one that cannot be read or is too long."""
        self.seen.add(path)
        text = _text(path, min(self._bytes_left, _LARGEST)) if self.files_left else ""
        self.files_left, self._bytes_left = self.files_left - bool(text), self._bytes_left - len(text)
        return text

    def imports(self, text: str, path: Path, top: Path) -> Iterator[Path]:
        """Yield what the code of a file imports of the repository."""
        above = [one for one in path.parents if one.is_relative_to(top)]
        everywhere = [*above, top / "src", top / "python"]
        for found in _IMPORT.finditer(text):
            dots, of = len(found["dots"] or ""), found["of"]
            names = _NAME.findall(found["names"] or found["modules"] or "")
            modules = names if of is None else [of, *(f"{of}.{name}".strip(".") for name in names)]
            places = above[dots - 1 : dots] if dots else everywhere
            for module in modules:
                self._asked_left -= len(places)
                if self._asked_left < 0:
                    return
                yield from next(filter(None, (self._module(place, module, top) for place in places)), [])

    def _module(self, place: Path, name: str, top: Path) -> Sequence[Path]:
        key = place, path = place, name.replace(".", "/")
        if key not in self._modules and self.looks.left > 0:
            self._modules[key] = self.looks.first([place / f"{path}.py", place / path / "__init__.py"], top)
        return self._modules.get(key, ())


def _walk(folder: Path) -> Iterator[Path]:
    folders = [folder]
    for at in range(_MOST_FOLDERS):
        if at >= len(folders):
            return
        try:
            entries = sorted(os.scandir(folders[at]), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name not in _NOT_OURS:
                    folders.append(Path(entry.path))
            elif entry.name.endswith(".py"):
                yield Path(entry.path)


def _text(path: Path, most: int) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # what may never end
            return ""
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError:
        return ""
    return data.decode("utf-8-sig", "replace") if len(data) <= most else ""
