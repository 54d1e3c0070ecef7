"""A model in the parts of an archive is assembled once, whole or not at all, and damage is one line."""

import hashlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
import torch
from helpers.made_archive import ADDRESS, LICENCE, NAME, lay_out_archive

from pipeline.addresses import archives
from pipeline.addresses.archives import ARCHIVES, archive_folder, is_archive, open_archive
from pipeline.addresses.licences import licence_of
from pipeline.addresses.resolve import resolve_model
from pipeline.compute.batching import collate, encode
from pipeline.errors import InputError
from pipeline.models.forward import forward
from pipeline.models.loading import (
    load_classifier,
    load_encoder_config,
    load_tokenizer,
    parameter_count,
)
from pipeline.models.positions import max_positions
from pipeline.storage.checksums import SUMS, check_sums

ROOT = Path(__file__).parents[2]
REAL = "package:all-mpnet-base-v2"
KEY = "teacher.model"


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.fixture
def made(site, monkeypatch, work_cache, tiny_encoder):
    """The archive of a tiny encoder, in three packages."""
    archive = lay_out_archive(site, tiny_encoder)
    monkeypatch.setitem(ARCHIVES, NAME, archive)
    return archive


@pytest.fixture
def extracted(monkeypatch):
    """The members that are extracted from now on, by name."""
    names = []
    extract = archives._extract
    monkeypatch.setattr(archives, "_extract", lambda *words: names.append(words[2]) or extract(*words))
    return names


def part(site, number):
    return site / f"{NAME}-part_{number:03d}" / f"{NAME}.zip.{number:03d}"


def process(archive, site, code, before=(), **environment):
    """Start Python, after the words `before`, with the archive made known; the code may use `open_archive`."""
    start = (
        "import os, shutil, sys, time\nfrom pipeline.addresses import archives\n"
        "from pipeline.addresses.archives import ARCHIVES, Archive, open_archive\n"
        "from pipeline.errors import InputError\n"
        f"ARCHIVES[{NAME!r}] = {archive!r}\n"
    )
    paths = os.pathsep.join([str(ROOT), str(site)])
    return subprocess.Popen(
        [*before, sys.executable, "-c", start + code],
        env=os.environ | {"PYTHONPATH": paths} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_is_the_folder_that_was_packed(made, tiny_encoder, work_cache):
    folder = open_archive(ADDRESS, KEY)
    assert folder == work_cache / "archives" / NAME / "model"
    names = {file.name for file in folder.iterdir()}
    assert names == {*(file.name for file in tiny_encoder.iterdir()), "README.md", SUMS}
    for file in tiny_encoder.iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes()
    assert sorted(path.name for path in folder.parent.iterdir()) == ["lock", "model"]
    check_sums(folder, KEY, weights=True)
    # The list is one that other programs can read.
    assert subprocess.run(["sha256sum", "--check", "--quiet", SUMS], cwd=folder, check=True).returncode == 0
    weights = [
        dict(load_classifier(address, KEY, ["a", "b"]).named_parameters()) for address in (ADDRESS, tiny_encoder)
    ]
    torch.testing.assert_close(*({k: v for k, v in each.items() if "classifier" not in k} for each in weights))
    assert not [name for name in sys.modules if name.startswith(NAME)]


def test_it_is_assembled_once(made, extracted, caplog):
    caplog.set_level(logging.INFO)
    first = resolve_model(ADDRESS, KEY)
    assert sorted(extracted) == sorted(made.members)
    assert f"{KEY}: {ADDRESS}: assembled in {first}" in caplog.messages
    assert resolve_model(ADDRESS, KEY) == first
    assert len(extracted) == len(made.members)


def test_the_packages_may_go_afterwards(made, site):
    folder = open_archive(ADDRESS, KEY)
    shutil.rmtree(site)
    assert open_archive(ADDRESS, KEY) == folder
    assert licence_of(ADDRESS) == LICENCE


def test_only_the_table_s_names_are_archives():
    assert is_archive(REAL)
    for address in ("all-mpnet-base-v2", f"{REAL}/config.json", "package:other", ""):
        assert not is_archive(address)
    with pytest.raises(InputError, match=r"package:module/path; nearest: all-mpnet-base-v2$"):
        resolve_model("package:all-mpnet-base", KEY)


def test_memory_is_that_of_some_blocks(site, work_cache, monkeypatch, tmp_path):
    model = tmp_path / "large"
    model.mkdir()
    (model / "model.safetensors").write_bytes(os.urandom(24 * archives.BLOCK))
    monkeypatch.setitem(ARCHIVES, NAME, lay_out_archive(site, model))
    tracemalloc.start()
    try:
        open_archive(ADDRESS, KEY)
        assert tracemalloc.get_traced_memory()[1] < 8 * archives.BLOCK
    finally:
        tracemalloc.stop()


def test_a_killed_process_loses_the_member_it_was_writing(made, site, extracted):
    stopped = """
extract = archives._extract
def stop(archive, opened, member, file, named):
    extract(archive, opened, member, file, named)
    if member.endswith(".safetensors"):
        file.flush()
        print("writing", flush=True)
        time.sleep(60)
archives._extract = stop
open_archive("package:made-model", "teacher.model")
"""
    child = process(made, site, stopped)
    assert child.stdout.readline() == "writing\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    folder = archive_folder(ADDRESS)
    assert not folder.exists()
    assert (folder.parent / "member").stat().st_size > 0
    assert open_archive(ADDRESS, KEY) == folder
    assert extracted == ["model.safetensors"]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["lock", "model"]
    check_sums(folder, KEY, weights=True)


def test_what_was_left_is_not_trusted(made, extracted):
    unfinished = archive_folder(ADDRESS).with_name("unfinished")
    unfinished.mkdir(parents=True)
    (unfinished / "config.json").write_text("{}")
    check_sums(open_archive(ADDRESS, KEY), KEY, weights=True)
    assert "config.json" in extracted


def test_of_several_processes_one_assembles(made, site, tmp_path):
    slow = f"""
extract = archives._extract
def slowly(archive, opened, member, file, named):
    with open({str(tmp_path / "log")!r}, "a") as log:
        log.write(member + "\\n")
    time.sleep(0.05)
    extract(archive, opened, member, file, named)
archives._extract = slowly
print(open_archive("package:made-model", "teacher.model"))
"""
    # As torchrun starts them: none of these is the one that publishes a stage's outs.
    children = [process(made, site, slow, RANK=str(n)) for n in (1, 2, 3)]
    for child in children:
        out, err = child.communicate()
        assert (child.returncode, err) == (0, "")
        assert out.splitlines() == [str(archive_folder(ADDRESS))]
    assert sorted((tmp_path / "log").read_text().split()) == sorted(made.members)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "not installed": (
        lambda site: shutil.rmtree(next(site.glob("*part_002-0.0.1.dist-info"))),
        "the package made-model-part-002 is not installed; make base installs it",
    ),
    "without its file": (
        lambda site: part(site, 3).unlink(),
        "the package made-model-part-003 has no file .zip.003; make base installs it again",
    ),
    "cut off": (lambda site: part(site, 1).write_bytes(part(site, 1).read_bytes()[:-1]), "{1} is damaged; make base"),
    "a flipped bit": (lambda site: flip(part(site, 2)), "{2} is damaged; make base installs it again"),
    "swapped": (
        lambda site: shutil.copy(part(site, 2), part(site, 3)),
        "{3} holds part 2, not 3; make base installs it again",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_part_is_named(what, made, site):
    before = {number: part(site, number).read_bytes() for number in (1, 2, 3)}
    kept = shutil.copytree(site, site.with_name("kept"))
    damage, line = DAMAGE[what]
    damage(site)
    with pytest.raises(InputError) as caught:
        open_archive(ADDRESS, KEY)
    named = line.format("", *(part(site, number) for number in before))
    assert str(caught.value).startswith(f"{KEY}: {ADDRESS}: {named}")
    assert not archive_folder(ADDRESS).exists()
    shutil.copytree(kept, site, dirs_exist_ok=True)
    check_sums(open_archive(ADDRESS, KEY), KEY, weights=True)


def garbled(archive, site):
    """A table that expects parts which are no zip."""
    content = bytes(1000)
    for number in (1, 2, 3):
        part(site, number).write_bytes(content)
    return replace(archive, parts=dict.fromkeys(archive.parts, hashlib.sha256(content).hexdigest()))


def with_member(name):
    """A table that expects a member with another content."""
    return lambda archive, _: replace(archive, members=archive.members | {name: "0" * 64})


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (with_member("more.json"), "its zip has no made-model/more.json; make base"),
        (with_member("config.json"), "config.json in its zip is not what was published; make base"),
        (garbled, "its parts are no whole zip (File is not a zip file); make base"),
    ],
    ids=["a missing member", "another member", "no zip"],
)
def test_a_zip_unlike_the_table_is_refused(change, line, made, site, monkeypatch):
    monkeypatch.setitem(ARCHIVES, NAME, change(made, site))
    with pytest.raises(InputError) as caught:
        open_archive(ADDRESS, KEY)
    assert str(caught.value).startswith(f"{KEY}: {ADDRESS}: {line}")
    assert str(caught.value).count("\n") == 0
    assert not archive_folder(ADDRESS).exists()
    assert not archive_folder(ADDRESS).with_name("member").exists()


def test_files_that_change_later_are_found_when_they_are_read(made, extracted, monkeypatch):
    folder = open_archive(ADDRESS, KEY)
    flip(folder / "model.safetensors")
    resolve_model(ADDRESS, KEY)
    with pytest.raises(InputError, match=r"^teacher\.model: .*model\.safetensors is not what was written"):
        load_classifier(ADDRESS, KEY, ["a", "b"])
    flip(folder / "tokenizer.json")
    with pytest.raises(InputError, match=r"tokenizer\.json is not what was written"):
        resolve_model(ADDRESS, KEY)
    # Without a file or its list, or with the list of another table, it is assembled again.
    for name in ("tokenizer.json", SUMS):
        extracted.clear()
        (folder / name).unlink()
        check_sums(Path(resolve_model(ADDRESS, KEY)), KEY, weights=True)
        assert len(extracted) == len(made.members)
    extracted.clear()
    fewer = replace(made, members={name: made.members[name] for name in made.members if name != "README.md"})
    monkeypatch.setitem(ARCHIVES, NAME, fewer)
    assert not (open_archive(ADDRESS, KEY) / "README.md").exists()
    assert len(extracted) == len(fewer.members)


UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]
ATTEMPTS = """
import subprocess
def attempt():
    try:
        print(open_archive("package:made-model", "teacher.model"))
    except InputError as error:
        print(error)
    place = archives.archive_folder("package:made-model").parent
    print(*sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()))
def mount(*options):
    subprocess.run(["mount", *options, os.environ["XDG_CACHE_HOME"]], check=True)
"""


@pytest.fixture
def on_a_small_disk(made, site, work_cache):
    """Run code in a process whose user cache may be a disk of its own, and return the lines that it prints."""
    if shutil.which("unshare") is None or subprocess.run([*UNSHARE, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let a process have a disk of its own (unshare)")
    work_cache.parent.mkdir()

    def run(code):
        child = process(made, site, ATTEMPTS + code, UNSHARE)
        out, err = child.communicate()
        assert (child.returncode, err) == (0, "")
        return out.splitlines()

    return run


def whole(archive, folder):
    return " ".join(sorted(["lock", *(f"{folder}/{name}" for name in [*archive.members, SUMS])]))


def test_a_full_disk(on_a_small_disk, made):
    full = (
        f"{KEY}: {ADDRESS} cannot be assembled in {archive_folder(ADDRESS).parent} (No space left on device); "
        f"accepted: XDG_CACHE_HOME set to a writable folder with {made.size / 1e6:.0f} MB free"
    )
    lines = on_a_small_disk("""
mount("-t", "tmpfs", "-o", "size=64k", "none")
attempt()
from types import SimpleNamespace
known = shutil.disk_usage
# Space that others take in the meantime.
shutil.disk_usage = lambda _: SimpleNamespace(free=10**12)
attempt()
shutil.disk_usage = known
mount("-o", "remount,size=8m")
attempt()
""")
    small = [name for name in made.members if name != "model.safetensors"]
    assert lines == [
        full,
        "lock",
        full,
        " ".join(sorted(["lock", *(f"unfinished/{name}" for name in small)])),
        str(archive_folder(ADDRESS)),
        whole(made, "model"),
    ]


def test_a_read_only_cache(on_a_small_disk, made):
    lines = on_a_small_disk("""
mount("-t", "tmpfs", "-o", "size=8m", "none")
mount("-o", "remount,ro")
attempt()
mount("-o", "remount,rw")
attempt()
mount("-o", "remount,ro")
attempt()
""")
    place = archive_folder(ADDRESS).parent
    assert lines[:2] == [
        f"{place}: the work cache cannot be written (Read-only file system); "
        "accepted: XDG_CACHE_HOME set to a writable folder",
        "",
    ]
    # What is assembled needs no writing.
    assert lines[2:] == [str(place / "model"), whole(made, "model")] * 2


def test_its_licence_is_read_without_assembling_it(made, site):
    assert licence_of(ADDRESS) == LICENCE
    assert not archive_folder(ADDRESS).parent.exists()
    shutil.rmtree(site)
    assert licence_of(ADDRESS) == "not known here"


def missing_package():
    for name in ARCHIVES["all-mpnet-base-v2"].parts:
        try:
            metadata.distribution(name)
        except metadata.PackageNotFoundError:
            return name
    return ""


@pytest.fixture(scope="module")
def real_cache(tmp_path_factory):
    """A user cache for the real archive, removed afterwards, as it takes 439 MB."""
    if missing := missing_package():
        pytest.skip(f"{missing} is not installed (make base)")
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
def test_the_real_one(real_cache):
    assert licence_of(REAL) == "apache-2.0"
    assert list(real_cache.iterdir()) == []
    folder = Path(resolve_model(REAL, KEY))
    with (folder / "model.safetensors").open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()
    assert digest == "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
    archive = ARCHIVES["all-mpnet-base-v2"]
    assert {file.name for file in folder.iterdir()} == {*archive.members, SUMS}
    assert sum(file.stat().st_size for file in folder.iterdir() if file.name != SUMS) == archive.size
    config, tokenizer = load_encoder_config(REAL, KEY), load_tokenizer(REAL, KEY)
    model = load_classifier(REAL, KEY, ["no", "yes"]).eval()
    assert (config.num_hidden_layers, config.hidden_size, max_positions(model, 0)) == (12, 768, 512)
    assert round(parameter_count(model.base_model) / 1e6) == 109
    long = collate(encode(tokenizer, ["word " * 600], None, 512), [0])
    # Two of these texts mean the same.
    texts = ["the parcel has not come yet", "my package still hasn't arrived", "a warm film"]
    batch = collate(encode(tokenizer, texts, None, 512), range(3))
    with torch.inference_mode():
        assert forward(model, long, ["hidden"]).hidden.shape == (1, 512, 768)
        states = forward(model, batch, ["hidden"])
    assert (states.logits.shape, states.hidden.shape) == ((3, 2), (*batch["input_ids"].shape, 768))
    mask = batch["attention_mask"][..., None]
    means = torch.nn.functional.normalize((states.hidden * mask).sum(1) / mask.sum(1), dim=-1)
    same, other = (means[0] @ means[1]).item(), (means[0] @ means[2]).item()
    assert same > 0.5 > 0.3 > other
