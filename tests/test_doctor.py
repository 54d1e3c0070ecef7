"""What would stop a run is found, and nothing else is called wrong."""

import os
import shutil
import subprocess
from types import SimpleNamespace

import pytest
import yaml

from pipeline import doctor, hub, surroundings
from pipeline.doctor import examine
from pipeline.surroundings import Finding, shown_bytes

GB = 10**9


@pytest.fixture(autouse=True)
def hub_out_of_reach(monkeypatch):
    from huggingface_hub import HfApi

    def unplugged(*_args, **_options):
        raise OSError("Name or service not known")

    silence = hub.silence
    silence.cache_clear()
    monkeypatch.setattr(HfApi, "model_info", unplugged)
    monkeypatch.setattr(HfApi, "dataset_info", unplugged)
    yield
    silence.cache_clear()


@pytest.fixture
def found(tmp_path, monkeypatch, tiny_encoder, tiny_masked_lm, reviews, work_cache):
    """The findings of a params file over tiny models, by what was looked at: `found(rounds=2)`."""
    monkeypatch.chdir(tmp_path)
    texts = reviews(200)
    rows = [f'"{text} {row}",{label}' for row, (text, label) in enumerate(zip(texts.texts, texts.labels, strict=True))]
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows]) + "\n")

    def look(**sections):
        params = {
            "data": {"target": {"path": "t.csv", "rows": 8, "validation": 20, "test": 40}},
            "max_length": 24,
            "teacher": {"model": str(tiny_encoder)},
            "generator": {"model": str(tiny_masked_lm)},
            "student": {"layers": 2},
            **sections,
        }
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
        return {finding.what: finding for finding in examine(tmp_path / "params.yaml")}

    return look


def test_a_run_that_would_get_through(found):
    findings = found()
    assert [what for what, finding in findings.items() if finding.mark == "wrong"] == ["dvc"]
    assert findings["tables"].found.startswith("0 source, 8 train, 20 validation, 40 test texts")
    assert findings["hub"] == Finding(
        "ok", "hub", "out of reach (Name or service not known); params name nothing of it"
    )
    assert findings["work cache"].mark == "ok"
    assert "float32" in findings["device"].found or "bfloat16" in findings["device"].found
    assert "a run from the start takes about" in findings["disk"].found
    assert all(finding.advice for finding in findings.values() if finding.mark == "wrong")


@pytest.mark.parametrize(
    ("sections", "what", "said"),
    [
        ({"rounds": 9}, "params", "rounds: got 9"),
        ({"student": {"layers": 7}}, "models", "student.layers: got 7"),
        ({"max_length": 500}, "models", "max_length: got 500, but the teacher takes 64 tokens"),
        ({"teacher": {"model": "someone/none"}}, "models", "its cache has no such model"),
        ({"data": {"target": {"path": "s.csv", "rows": 8}}}, "tables", "data.target.path: no such file: s.csv"),
        ({"data": {"target": {"path": "t.csv", "rows": 8}}}, "tables", "data.target.test: got 2,000"),
    ],
)
def test_what_would_stop_it(found, sections, what, said):
    findings = found(**sections)
    assert findings[what].mark == "wrong"
    assert said in findings[what].found
    assert [name for name, finding in findings.items() if finding.mark == "wrong" and name != "dvc"] == [what]
    # What hangs on it is not passed over in silence.
    if what != "params":
        assert "cannot be told without" in findings["disk"].found
        assert " free; " in findings["disk"].found


def test_an_adapter_that_is_not_there(found, tiny_encoder):
    findings = found(generator={"model": str(tiny_encoder), "adapter": "none.safetensors"})
    assert findings["extras"].mark == "wrong"
    assert "generator.adapter: no such file: none.safetensors" in findings["extras"].found


def test_a_hub_out_of_reach_is_worth_a_look_where_it_is_named(found):
    finding = found(teacher={"model": "someone/none"})["hub"]
    assert (finding.mark, finding.found) == (
        "look", "out of reach (Name or service not known); params name someone/none"
    )  # fmt: skip


def test_a_hub_that_does_not_answer_is_not_waited_for(found, monkeypatch):
    from threading import Event

    never = Event()
    monkeypatch.setattr(doctor, "PATIENCE", 0.05)
    monkeypatch.setattr(hub, "silence", lambda *_: never.wait(30) and "")
    assert "out of reach (no answer in 0 s)" in found()["hub"].found
    never.set()


def test_what_names_the_hub():
    for address in ("bert-base-uncased", "someone/name"):
        assert doctor._is_hub_id(address)
    for address in ("package:a/b", "./here", "/there", "a/b/c", "data/raw/t.csv", "t.csv", "*.csv", "~/x"):
        assert not doctor._is_hub_id(address)


@pytest.mark.parametrize(("free", "mark"), [(50, "ok"), (15, "look"), (9, "wrong")])
def test_room_on_one_disk(free, mark, work_cache, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free * GB))
    (finding,) = doctor.room({"data/teacher": 4 * GB, "work cache": 6 * GB})
    assert (finding.what, finding.mark) == ("disk", mark)
    assert f"{free}.0 GB free; a run from the start takes about 10.0 GB (work cache 6.0 GB, data/teacher 4.0 GB)" in (
        finding.found
    )
    assert bool(finding.advice) == (mark != "ok")


def test_room_on_two_disks(work_cache, monkeypatch):
    work_cache.mkdir(parents=True)
    project, cache = doctor.Path.cwd(), work_cache
    real = os.stat

    def stat(self, **_):
        return SimpleNamespace(st_dev=1 if self == cache else 2, st_mode=real(self).st_mode)

    monkeypatch.setattr(
        shutil, "disk_usage", lambda place: SimpleNamespace(free=5 * GB if place == project else 7 * GB)
    )
    monkeypatch.setattr(doctor.Path, "stat", stat)
    findings = {finding.what: finding for finding in doctor.room({"data/teacher": 4 * GB, "work cache": 9 * GB})}
    assert {what: finding.mark for what, finding in findings.items()} == {
        "disk of the project": "look", "disk of the work cache": "wrong",
    }  # fmt: skip


def test_too_little_memory_is_worth_a_look(found, monkeypatch):
    monkeypatch.setattr(doctor, "free_memory", lambda: 1e6)
    assert found()["memory"].mark == "look"


def test_a_package_that_is_not_there(monkeypatch, found):
    monkeypatch.setattr(
        surroundings, "requires", lambda _: ["nobody-has-this>=1", "pydantic>=2", "ray; extra == 'ray'"]
    )
    findings = found()
    assert findings["packages"].mark == "wrong"
    assert findings["packages"].found == "missing: nobody-has-this"
    assert "device" not in findings
    monkeypatch.setattr(surroundings, "requires", lambda _: ["pydantic<1"])
    finding = surroundings.packages()
    assert (finding.mark, finding.found.startswith("pydantic 2")) == ("look", True)


def test_git(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert surroundings.git().mark == "look"
    subprocess.run(["git", "init", "-q"], check=True)
    assert surroundings.git() == Finding("ok", "git", "clean")
    (tmp_path / "new").touch()
    assert (surroundings.git().mark, surroundings.git().found) == ("look", "1 files changed or new")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert surroundings.git().found == "git is not installed"


def test_dvc(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = {"code": 0, "out": ""}
    monkeypatch.setattr(surroundings, "_run", lambda *_: (said["code"], said["out"]))
    assert "no dvc.yaml in" in surroundings.dvc().found
    (tmp_path / "dvc.yaml").touch()
    assert surroundings.dvc().mark == "look"
    said["out"] = "store\ts3://bucket/path\t(default)"
    assert surroundings.dvc() == Finding("ok", "dvc", "a repository, remote store")
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / ".dvc/tmp/rwlock").write_text('{"a": ')
    assert (surroundings.dvc().mark, surroundings.dvc().advice) == ("wrong", "remove that file")
    said |= {"code": 253, "out": "ERROR: you are not inside of a DVC repository"}
    assert surroundings.dvc().found == said["out"]


def test_a_large_work_cache_is_worth_a_look(work_cache, monkeypatch):
    monkeypatch.setattr(surroundings.workcache, "sizes", lambda: {"augment": (3, 30 * GB)})
    finding = surroundings.work_cache()
    assert (finding.mark, finding.found) == ("look", f"30.0 GB in {work_cache}")


def test_bytes():
    assert [shown_bytes(size) for size in (2e5, 9.9e8, 1.26e9, 2e12)] == ["0 MB", "990 MB", "1.3 GB", "2,000.0 GB"]
