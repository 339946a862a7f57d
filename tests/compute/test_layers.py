"""Several layers as one folder."""

from __future__ import annotations

from pathlib import Path

from skyfold.compute.layers import merged


def layer(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_no_layer_is_no_folder_and_one_layer_is_itself(tmp_path: Path) -> None:
    one = layer(tmp_path / "one", {"a": "1"})

    assert merged((), tmp_path / "merged") is None
    assert merged((one,), tmp_path / "merged") == one


def test_later_layers_win_file_by_file(tmp_path: Path) -> None:
    one = layer(tmp_path / "one", {"a": "1", "both/x": "1", "both/y": "1"})
    two = layer(tmp_path / "two", {"both/y": "2", "both/z": "2"})

    found = merged((one, two), tmp_path / "merged")

    assert found is not None
    files = {str(p.relative_to(found)): p.read_text() for p in found.rglob("*") if p.is_file()}
    assert files == {"a": "1", "both/x": "1", "both/y": "2", "both/z": "2"}
    assert (one / "both/y").read_text() == "1"


def test_a_file_may_take_the_place_of_a_folder_and_the_other_way_round(tmp_path: Path) -> None:
    one = layer(tmp_path / "one", {"a/b": "1", "c": "1"})
    two = layer(tmp_path / "two", {"a": "2", "c/d": "2"})

    found = merged((one, two), tmp_path / "merged")

    assert found is not None
    assert (found / "a").read_text() == "2"
    assert (found / "c/d").read_text() == "2"


def test_links_stay_links(tmp_path: Path) -> None:
    one = layer(tmp_path / "one", {"lib/real.so": "1"})
    (one / "lib/link.so").symlink_to("real.so")
    (one / "folder").symlink_to("lib")
    two = layer(tmp_path / "two", {"b": "2"})

    found = merged((one, two), tmp_path / "merged")

    assert found is not None
    assert (found / "lib/link.so").readlink() == Path("real.so")
    assert (found / "folder").readlink() == Path("lib")
    assert (found / "folder/real.so").read_text() == "1"


def test_the_same_layers_are_merged_once(tmp_path: Path) -> None:
    one = layer(tmp_path / "one", {"a": "1"})
    two = layer(tmp_path / "two", {"b": "2"})

    first = merged((one, two), tmp_path / "merged")
    again = merged((one, two), tmp_path / "merged")

    assert first == again
    assert merged((two, one), tmp_path / "merged") != first
