"""A tree gone through in pieces: all of it, from the top, and what is crowded last."""

from __future__ import annotations

from pathlib import Path

from trainer.walk import Walk


def tree(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def taken(walk: Walk, most: int) -> list[str]:
    return [entry.name for entry in walk.files(most)]


def test_a_small_tree_is_gone_through_whole_each_time_and_not_twice(tmp_path: Path) -> None:
    tree(tmp_path, "a", "one/b", "one/two/c")
    walk = Walk(tmp_path)
    for _ in range(3):
        assert taken(walk, 100) == ["a", "b", "c"]


def test_a_large_one_goes_on_where_it_stopped(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{number}/file{number}" for number in range(10)))
    walk = Walk(tmp_path)
    pieces = [taken(walk, 6) for _ in range(4)]  # ten folders and ten files are twenty entries
    assert sorted(name for piece in pieces for name in piece) == [f"file{number}" for number in range(10)]
    assert taken(walk, 100) != []


def test_it_begins_anew_when_told_to(tmp_path: Path) -> None:
    tree(tmp_path, "a", "one/b", "one/two/c")
    walk = Walk(tmp_path)
    taken(walk, 3)
    walk.begin()
    assert taken(walk, 100) == ["a", "b", "c"]


def test_what_is_crowded_comes_last(tmp_path: Path) -> None:
    tree(tmp_path, *(f"data/{number}" for number in range(50)), "out/run/log")
    walk = Walk(tmp_path, crowd=5)
    assert "log" in taken(walk, 12)
    assert len(taken(walk, 100)) == 42


def test_more_crowded_folders_than_are_held_open_are_gone_through_as_well(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{folder}/{number}" for folder in range(40) for number in range(4)))
    assert len(taken(Walk(tmp_path, crowd=2), 1_000)) == 160


def test_links_hidden_folders_those_left_out_and_what_lies_too_deep_are_not_entered(tmp_path: Path) -> None:
    tree(tmp_path, ".git/a", "env/b", "one/two/three/c", "one/two/d")
    (tmp_path / "round").symlink_to(tmp_path)
    assert sorted(taken(Walk(tmp_path, deepest=2, left_out={"env"}), 100)) == ["d", "round"]


def test_a_folder_that_is_gone_or_closed_is_passed_over(tmp_path: Path) -> None:
    tree(tmp_path, "a/x", "b/y")
    walk = Walk(tmp_path)
    assert taken(walk, 2) == []
    for name in ("a/x", "a"):
        path = tmp_path / name
        path.unlink() if path.is_file() else path.rmdir()
    assert taken(walk, 100) == ["y"]
    assert taken(Walk(tmp_path / "nowhere"), 100) == []
