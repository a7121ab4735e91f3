"""The one file that goes to every machine: what is in it, and that it is enough."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import trainer
from tests.trainer.conftest import CREDENTIALS
from tests.trainer.rented import Rented
from trainer.archive import LEFT_OUT, build
from trainer.storage import open_store
from trainer.wire import ENV_STORE_PREFIX

SOURCES = [path for path in sorted(Path(trainer.__file__).parent.glob("*.py")) if path.name not in LEFT_OUT]
OLDEST = (3, 10)  # the oldest Python of an image that the agent has to run on


@pytest.mark.parametrize("with_s3", [False, True])
def test_the_same_package_gives_the_same_bytes(tmp_path: Path, with_s3: bool) -> None:
    one = build(tmp_path / "one.pyz", with_s3)
    two = build(tmp_path / "deep" / "two.pyz", with_s3)
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_size < (2_000_000 if with_s3 else 270_000)


def test_only_the_trainer_and_what_s3_needs_is_in_it(tmp_path: Path) -> None:
    names = zipfile.ZipFile(build(tmp_path / "a.pyz", with_s3=True)).namelist()
    assert {name.split("/")[0] for name in names} == {"__main__.py", "trainer", "vendor"}
    services = {
        name.split("/")[3] for name in names if name.startswith("vendor/botocore/data/") and name.count("/") > 3
    }
    assert services == {"s3", "sts"}
    assert "trainer/archive.py" not in names
    assert [name for name in names if "__pycache__" in name or name.endswith((".so", ".pyc"))] == []
    without = zipfile.ZipFile(build(tmp_path / "b.pyz", with_s3=False)).namelist()
    assert [name for name in without if name.startswith("vendor")] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_file_is_written_in_the_oldest_language_that_images_have(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=OLDEST)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_pattern_needs_a_newer_python(path: Path) -> None:
    """Possessive repeats and atomic groups came with 3.11, and older ones stumble over them at the import."""
    strings = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    newer = re.compile(r"[\w)\]}][*+?}]\+|\(\?>")
    assert [one for one in strings if isinstance(one, str) and newer.search(one)] == []


def test_the_agent_needs_the_standard_library_and_nothing_else() -> None:
    # What an image may have; where it has none, the standard library does the same (`trainer.aes`).
    optional = {"cryptography"}
    allowed = set(sys.stdlib_module_names) | {"trainer", "boto3", "botocore", "s3transfer"} | optional
    left_out = {f"trainer.{Path(name).stem}" for name in LEFT_OUT}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [f"{node.module}.{alias.name}" for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed, path.name
            assert not left_out.intersection(names), path.name


def test_an_agent_with_s3_works_on_a_python_that_has_no_boto3(tmp_path: Path, endpoint: str) -> None:
    venv.create(tmp_path / "bare", symlinks=True)
    bare = str(tmp_path / "bare" / "bin" / "python")
    assert subprocess.run([bare, "-I", "-c", "import boto3"], capture_output=True, check=False).returncode == 1
    env = {**CREDENTIALS, f"{ENV_STORE_PREFIX}AWS_ENDPOINT_URL": endpoint}
    uri = f"s3://acme/{tmp_path.name}"
    archive = build(tmp_path / "trainer.pyz", with_s3=True)
    rented = Rented(tmp_path, archive, store=open_store(uri, env), uri=uri, python=bare)
    script = (
        "import os, zipfile\nprint('step 1: loss 1.0')\nos.makedirs('out')\n"
        "zipfile.ZipFile('out/ckpt.pt', 'w').writestr('data', 'weights')\n"
        "print([name for name in os.environ if 'AWS' in name])\n"
    )
    rented.order({"train.py": script}, argv=["python", "train.py"])
    try:
        assert rented.run(**env) == 0
        assert rented.outcome()["reason"] == "finished"
        assert list(rented.manifests()) == ["step-000001"]
        assert rented.log() == "step 1: loss 1.0\n[]\n"
    finally:
        rented.close()


def test_words_that_are_none_of_its_own_are_refused(archive: Path) -> None:
    done = subprocess.run([sys.executable, str(archive), "dance"], capture_output=True, text=True, check=False)
    assert (done.returncode, "'dance' is not something this archive does" in done.stderr) == (78, True)
