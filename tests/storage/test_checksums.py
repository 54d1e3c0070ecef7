"""Model folders whose files are not those that were written."""

import json
import shutil
import subprocess

import pytest

from pipeline.errors import InputError
from pipeline.models.loading import load_classifier, load_config, load_tokenizer
from pipeline.models.saving import save_model
from pipeline.storage.checksums import SUMS, check_sums, write_sums


@pytest.fixture(scope="module")
def written(tiny_classifier, tmp_path_factory):
    model, tokenizer = load_classifier(tiny_classifier, "x"), load_tokenizer(tiny_classifier, "x")
    folder = tmp_path_factory.mktemp("written") / "student"
    save_model(model, tokenizer, folder)
    return folder


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "student")


def flip(file, place):
    """Change one bit."""
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


def load(folder):
    load_config(folder, "student")
    load_tokenizer(folder, "student")
    return load_classifier(folder, "student")


def test_what_was_written_loads_and_sha256sum_agrees(folder):
    load(folder)
    listed = {line.split("  ")[1] for line in (folder / SUMS).read_text().splitlines()}
    assert listed == {file.name for file in folder.iterdir()} - {SUMS}
    subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize("place", [-1, -4000, -10000])
def test_a_flipped_bit_of_the_weights(folder, place):
    flip(folder / "model.safetensors", place)
    # Neither the config nor the values, which are all finite, show it.
    load_config(folder, "student")
    with pytest.raises(InputError, match=r"^student: .*student/model\.safetensors is not what was written; make or"):
        load_classifier(folder, "student")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_file_replaced_by_another(folder, name):
    (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | {"version": "9.9"}))
    with pytest.raises(InputError, match=rf"^student: .*student/{name} is not what was written"):
        load_tokenizer(folder, "student")


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.safetensors"])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"^student: .*{name} is missing; make or fetch the folder again, or remove "):
        load_config(folder, "student")


@pytest.mark.parametrize("name", ["added_tokens.json", "model.onnx"])
def test_a_file_too_many(folder, name):
    (folder / name).write_text("{}")
    with pytest.raises(InputError, match=rf"^student: .*SHA256SUMS does not name {name}; make or fetch"):
        load_config(folder, "student")


def test_a_list_that_was_cut(folder):
    lines = (folder / SUMS).read_text().splitlines(keepends=True)
    for kept in range(len(lines)):
        (folder / SUMS).write_text("".join(lines[:kept]))
        with pytest.raises(InputError, match=r"^student: .*SHA256SUMS does not name "):
            load_config(folder, "student")


def test_lists_as_sha256sum_writes_them(folder):
    sums = (folder / SUMS).read_text()
    for other in (sums.replace("  ", " *"), sums.replace("  ", "  ./")):
        (folder / SUMS).write_text(other)
        load(folder)
    write_sums(folder)
    assert (folder / SUMS).read_text() == sums


@pytest.mark.parametrize(
    "content", [b"nonsense", b"\xff\xfe", b"0" * 64 + b"  ../config.json\n", (b"0" * 64 + b"  a.json\n") * 2]
)
def test_a_damaged_list(folder, content):
    (folder / SUMS).write_bytes(content)
    with pytest.raises(InputError, match=r"^student: .*SHA256SUMS is damaged"):
        load_config(folder, "student")


def test_a_change_on_purpose(folder):
    flip(folder / "model.safetensors", -1)
    (folder / SUMS).unlink()
    load(folder)


def test_files_beside_those_listed_do_not_count(folder):
    (folder / "README.md").write_text("a card")
    load(folder)


def test_weights_are_hashed_where_they_are_read(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"weights")
    (tmp_path / "config.json").write_text("{}")
    write_sums(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"Weights")
    check_sums(tmp_path, "x", weights=False)
    with pytest.raises(InputError, match=r"^x: .*model\.onnx is not what was written"):
        check_sums(tmp_path, "x", weights=True)
