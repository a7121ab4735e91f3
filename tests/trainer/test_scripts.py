"""Which code of a repository is read, and in what order: what a command names, what that imports, and the rest."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from trainer.printed import printed_by
from trainer.scripts import named, sources


def repository(top: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    return top


def names(top: Path, command: str) -> list[str]:
    return [str(path.relative_to(top)) for path in named(command, top)]


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("python train.py --lr 1e-3", ["train.py"]),
        ("CUDA_VISIBLE_DEVICES=0 python -u ./train.py 2>&1 | tee log.txt", ["train.py"]),
        ("python -m tools.train --config a.yaml", ["tools/train.py"]),
        ("python -m tools", ["tools/__main__.py"]),
        ("torchrun --nproc_per_node 8 tools/train.py", ["tools/train.py"]),
        ("python -m torch.distributed.launch --nproc_per_node=2 tools/train.py", ["tools/train.py"]),
        ("accelerate launch --mixed_precision fp16 --module tools.train", ["tools/train.py"]),
        ("cd tools && python train.py", ["tools/train.py"]),
        ("cd tools; python ../train.py", ["train.py"]),
        ("python $ROOT/tools/train.py; python /home/user/repo/train.py", ["tools/train.py", "train.py"]),
        ("bash scripts/run.sh", ["scripts/run.sh"]),
        ("# python train.py\npython tools/train.py", ["tools/train.py"]),
        ("python ../outside.py", []),
        ("nvidia-smi", []),
        ("python absent.py", []),
    ],
)
def test_a_command_names_its_scripts(tmp_path: Path, command: str, found: list[str]) -> None:
    files = ("train.py", "tools/train.py", "tools/__main__.py", "scripts/run.sh")
    top = repository(tmp_path / "repo", dict.fromkeys(files, "") | {"../outside.py": ""})
    assert names(top, command) == found


def test_what_a_script_imports_of_the_repository_is_run_and_the_rest_is_not(tmp_path: Path) -> None:
    top = repository(
        tmp_path,
        {
            "run.sh": "#!/bin/bash\n# python old.py\nexport A=1\npython \\\n  tools/train.py",
            "tools/train.py": "import torch, pkg.deep.er as er\nfrom pkg import (\n    Trainer,\n    loops,\n)",
            "tools/other.py": "#",
            "src/pkg/__init__.py": "from .trainer import Trainer",
            "src/pkg/trainer.py": "def f():\n    from . import lazy\n    from .. import nothing",
            "src/pkg/lazy.py": "#",
            "src/pkg/loops.py": "#",
            "src/pkg/deep/er.py": "from ..test import helper",
            "src/pkg/test/helper.py": "#",
            "src/pkg/never.py": "#",
            "old.py": "#",
        },
    )
    for name in top.rglob("*.py"):
        name.write_text(f"{name.read_text()}\n# {name.relative_to(top)}")
    read = {source.text.rpartition("# ")[2]: source.runs for source in sources(top, [top / "run.sh"])}
    assert [name for name, runs in read.items() if not runs] == ["old.py", "tools/other.py", "src/pkg/never.py"]
    assert {"tools/train.py", "src/pkg/lazy.py", "src/pkg/loops.py", "src/pkg/test/helper.py"} <= read.keys()
    assert all(source.runs for source in sources(top))  # no script is named


def test_where_a_script_names_no_code_that_is_known_all_of_it_may_run(tmp_path: Path) -> None:
    top = repository(tmp_path, {"run.sh": "MAIN=${1:-main}\npython $MAIN.py", "main.py": "#"})
    assert [source.runs for source in sources(top, [top / "run.sh"])] == [True]


def test_what_runs_is_believed_before_what_else_prints_such_lines(tmp_path: Path) -> None:
    train = "for epoch in range(9):\n    print(f'at {epoch}: {loss:.2f}')\n    print(epoch, loss)"
    other = "for i in range(9):\n    print(f'at {i}: {accuracy:.2f}')\nprint(accuracy, f1)"
    top = repository(tmp_path, {"a.py": other, "z/train.py": train})
    believed, either = printed_by(top, [top / "z/train.py"]), printed_by(top)
    for line in ("at 3: 0.50", "3 0.5"):
        assert (found := believed.read(line)) is not None
        assert (found.epoch, dict(found.values)) == (3, {"loss": 0.5})
    assert either.read("3 0.5") is None  # a line without a word, and they do not agree


def test_the_scripts_of_a_large_repository_are_read_first(tmp_path: Path) -> None:
    files = {f"a/{n}.py": "#" for n in range(2_100)} | {"z/train.py": "import zz", "z/zz.py": "print('L', loss)"}
    top = repository(tmp_path, files)
    assert not printed_by(top)
    assert printed_by(top, [top / "z/train.py"])


def test_odd_imports_and_circles_end(tmp_path: Path) -> None:
    odd = "from ... import x\nfrom . import *\nimport\nfrom ...... import y\nfrom a..b import c\nimport .\nimport train"
    top = repository(tmp_path, {"train.py": odd, "x.py": "import train"})
    assert len(list(sources(top, [top / "train.py", top / "gone.py"]))) == 3


@pytest.mark.parametrize(
    "command",
    ["python " + "a" * 260 + ".py", "cd " + "b" * 300 + " && python train.py", "python -m " + "a." * 3_000 + "a"],
)
def test_a_name_that_no_file_can_have_is_no_script(tmp_path: Path, command: str) -> None:
    top = repository(tmp_path, {"train.py": "import " + "m" * 300 + "\nfrom . import " + "a." * 3_000 + "a"})
    assert names(top, command) == (["train.py"] if "train" in command else [])
    assert len(list(sources(top, [top / "train.py"]))) == 1


def test_files_are_looked_for_so_often_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = "a/" * 145
    files = {"run.sh": f"{deep}b.py " * 1_000 + "cd a\n" * 9_000, "s.sh": "-m a.b " * 50_000}
    modules = {f"m{n}.py": "\n".join(f"import m{other}, x{n}x{other}" for other in range(900)) for n in range(30)}
    top = repository(tmp_path, files | modules)
    looked: list[Path] = []

    def look(path: Path) -> bool:
        looked.append(path)
        return path.exists()

    monkeypatch.setattr("os.path.isfile", look)
    for name in ("run.sh", "s.sh", "m0.py"):
        looked.clear()
        read = list(sources(top, [top / name]))
        assert 0 < len(looked) <= 20_000
        assert len(read) == len(modules)  # the rest is read all the same


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.sh", "a" * 390_000),
        ("run.sh", "a/" * 195_000),
        ("run.sh", "\n" * 390_000),
        ("train.py", "from x import (" * 26_000),
        ("train.py", "import " + ", ".join(f"m{n}" for n in range(40_000))),
        ("train.py", '"" ' * 95_000 + "%(message)s"),
    ],
    ids=["word", "path", "lines", "open", "modules", "strings"],
)
def test_what_a_file_is_made_of_does_not_keep_us_busy(tmp_path: Path, name: str, text: str) -> None:
    top = repository(tmp_path, {name: text})
    began = time.process_time()
    printed_by(top, [top / name])
    assert time.process_time() - began < 5
