"""What would stop a run is found, and nothing else is called wrong."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml
from helpers.made_archive import ADDRESS, NAME, lay_out_archive

from pipeline.addresses.archives import ARCHIVES
from pipeline.addresses.hub import Answer
from pipeline.setup import disk, doctor, environment
from pipeline.setup.doctor import examine
from pipeline.setup.environment import Finding, format_bytes

GB = 10**9


REFUSED = "the hub cannot be reached ([Errno 111] Connection refused)"


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
    assert findings["hub"] == Finding("ok", "hub", f"{REFUSED}; params name nothing on it")
    assert findings["work cache"].mark == "ok"
    assert "archive" not in findings
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
        assert "is unknown without" in findings["disk"].found
        assert " free; " in findings["disk"].found


def test_a_parameter_that_dvc_would_miss(found, tmp_path):
    def line(**sections):
        stages = {
            "augment": {"foreach": [1], "do": {"cmd": "true", "params": ["max_length", "augment.shards"]}},
            "teacher": {"cmd": "true", "params": ["teacher.model", {"hub.json": ["teacher"]}]},
            "again": {"cmd": "true", "params": ["refine", "augment.shards"]},
        }
        (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
        return found(**sections)["params"]

    lacks = f"{tmp_path / 'params.yaml'}: refine, augment.shards missing, which dvc.yaml names; accepted: a file with"
    assert (line().mark, line().found) == ("wrong", f"{lacks} all of them")
    assert found()["tables"].mark == "ok"
    assert line(augment={"shards": 2}, refine={}).mark == "ok"
    for nothing in ("plots: []\n", "", "- a\n", "stages:\n", "stages: {a: null}\n"):
        (tmp_path / "dvc.yaml").write_text(nothing)
        assert found()["params"].found.startswith("dvc.yaml: no stages, or one without content; accepted: ")
    (tmp_path / "other.yaml").write_text((tmp_path / "params.yaml").read_text().replace("refine: {}\n", ""))
    assert next(each for each in examine(tmp_path / "other.yaml") if each.what == "params").mark == "ok"


def test_more_layers_to_freeze_than_there_are(found, tiny_encoder):
    finding = found(teacher={"model": str(tiny_encoder), "frozen": 7})["models"]
    assert (finding.mark, "teacher.frozen: got 7, but the model has " in finding.found) == ("wrong", True)


def test_a_generator_that_fills_no_masks(found, tmp_path):
    (tmp_path / "gpt").mkdir()
    (tmp_path / "gpt" / "config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / "gpt" / "model.safetensors").touch()
    findings = found(generator={"model": "./gpt"})
    said = "generator.model: ./gpt is a gpt2; accepted: an encoder, such as bert or roberta"
    assert (findings["models"].mark, findings["models"].found) == ("wrong", said)


def test_an_adapter_that_is_not_there(found, tiny_encoder):
    findings = found(generator={"model": str(tiny_encoder), "adapter": "none.safetensors"})
    assert findings["extras"].mark == "wrong"
    assert "generator.adapter: no such file: none.safetensors" in findings["extras"].found


def test_a_generator_that_takes_shorter_texts(found, tmp_path, tiny_masked_lm):
    shutil.copytree(tiny_masked_lm, tmp_path / "short")
    config = json.loads((tmp_path / "short/config.json").read_text()) | {"max_position_embeddings": 16}
    (tmp_path / "short/config.json").write_text(json.dumps(config))
    finding = found(generator={"model": "./short"})["models"]
    assert finding.found == "max_length: got 24, but the generator takes 16 tokens; accepted: 8 to 16"


@pytest.mark.parametrize("key", ["text", "heldout"])
def test_a_table_of_the_generator_that_is_not_there(found, tiny_masked_lm, key):
    generator = {"model": str(tiny_masked_lm), "steps": 5, "text": {"path": "t.csv"}}
    findings = found(generator=generator | {key: {"path": "n.csv"}})
    assert findings["extras"].mark == "wrong"
    assert findings["extras"].found == f"generator.{key}.path: no such file: n.csv; nearest: t.csv"


def test_a_vocabulary_that_cannot_be_cut(found, tmp_path, tiny_encoder, byte_level):
    shutil.copytree(tiny_encoder, tmp_path / "bytes")
    byte_level.save_pretrained(tmp_path / "bytes")
    findings = found(teacher={"model": "./bytes"}, export={"vocabulary": "seen"})
    assert findings["models"].found == "export.vocabulary: got seen, but the student's tokenizer is BPE; accepted: full"


def test_an_archive(found, tmp_path, work_cache, monkeypatch, tiny_encoder):
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setitem(ARCHIVES, NAME, replace(lay_out_archive(tmp_path / "site", tiny_encoder), size=3 * GB))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * GB))
    folder = work_cache / "archives" / NAME / "model"
    findings = found(teacher={"model": ADDRESS})
    what = f"{ADDRESS}: will be assembled in {folder}; takes 3.0 GB of 2.0 GB free"
    assert findings["archive"] == Finding("look", "archive", what)
    assert (findings["models"].mark, "(No space left on device)" in findings["models"].found) == ("wrong", True)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4 * GB))
    findings = found(teacher={"model": ADDRESS})
    assert (findings["archive"].mark, findings["models"].mark) == ("ok", "ok")
    # The check of the models reads them.
    assert found(teacher={"model": ADDRESS})["archive"] == Finding("ok", "archive", f"{ADDRESS}: 3.0 GB in {folder}")
    shutil.rmtree(folder)
    shutil.rmtree(tmp_path / "site")
    finding = found(teacher={"model": ADDRESS})["models"]
    assert (finding.mark, "made-model-part-001 is not installed; make base installs it" in finding.found) == (
        "wrong", True
    )  # fmt: skip


def test_a_hub_out_of_reach_is_worth_a_look_where_it_is_named(found):
    finding = found(teacher={"model": "someone/none"})["hub"]
    assert (finding.mark, finding.found) == ("look", f"{REFUSED}; params name someone/none")


@pytest.mark.parametrize("has_hub", [True, False])
def test_models_and_tables_of_the_hub(found, hub, tiny_encoder, tiny_masked_lm, tmp_path, has_hub):
    found()  # writes t.csv
    hub.publish("someone/encoder", tiny_encoder, refs=("v1.0",))
    hub.publish("someone/masked-lm", tiny_masked_lm)
    hub.publish("someone/reviews", {"train.csv": (tmp_path / "t.csv").read_bytes()}, kind="dataset", refs=("v2",))
    named = {
        "teacher": {"model": "someone/encoder@v1.0"},
        "generator": {"model": "someone/masked-lm"},
        "data": {"target": {"path": "someone/reviews@v2", "rows": 8, "validation": 20, "test": 40}},
    }
    hub.forget()
    findings = found(**named)
    if not has_hub:
        hub.stop()
        hub.forget()
        findings = found(**named)
    assert [what for what, finding in findings.items() if finding.mark == "wrong"] == ["dvc"]
    answer = "it answers" if has_hub else REFUSED
    said = f"{answer}; params name someone/encoder@v1.0, someone/masked-lm, someone/reviews@v2"
    assert (findings["hub"].mark, findings["hub"].found) == ("ok" if has_hub else "look", said)
    assert findings["models"].found.startswith("teacher someone/encoder@v1.0, generator someone/masked-lm, ")
    assert not [line for line in hub.requests if "safetensors" in line]


def test_where_the_hub_has_moved_on(found, hub, tiny_encoder, tiny_masked_lm, tmp_path):
    old = hub.publish("someone/encoder-v1.5", tiny_encoder)
    named = {"teacher": {"model": "someone/encoder-v1.5"}, "generator": {"model": f"someone/encoder-v1.5@{old}"}}
    assert "hub moved" not in found(**named)
    entry = {"address": "someone/encoder-v1.5", "commit": old}
    (tmp_path / "hub.json").write_text(json.dumps({"teacher": {"model": entry}}))
    new = hub.publish("someone/encoder-v1.5", {**{"README.md": b"new"}, "config.json": b"{}"})
    hub.forget()
    lines = [each for each in examine(tmp_path / "params.yaml") if each.what == "hub moved"]
    assert [(line.mark, line.advice) for line in lines] == [
        ("look", f"to take it: teacher.model: someone/encoder-v1.5@{new}"),
        ("ok", ""),
    ]
    assert lines[0].found == f"teacher.model: stages read someone/encoder-v1.5 at {old[:7]}; main is at {new}"
    # The models are still those of the old commit.
    assert found(**named)["models"].found.startswith("teacher someone/encoder-v1.5, ")


def test_what_the_hub_refuses_would_stop_a_run(found, hub, tiny_encoder):
    hub.publish("someone/gated", tiny_encoder)
    hub.repositories["model", "someone/gated"].refusal = 401
    finding = found(teacher={"model": "someone/gated"})["models"]
    assert finding.mark == "wrong"
    assert finding.found.startswith("teacher.model: someone/gated is gated (401 Unauthorized); ask for access on ")


def test_a_hub_that_does_not_answer_is_not_waited_for(found, monkeypatch):
    from threading import Event

    never = Event()
    monkeypatch.setattr(doctor, "PATIENCE", 0.05)
    monkeypatch.setattr("pipeline.addresses.hub.ask", lambda *_: never.wait(30) and Answer())
    assert found()["hub"].found.startswith("the hub cannot be reached (no answer in 0 s); ")
    never.set()


@pytest.mark.parametrize(("free", "mark"), [(50, "ok"), (15, "look"), (9, "wrong")])
def test_room_on_one_disk(free, mark, work_cache, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free * GB))
    (finding,) = disk.room({"data/teacher": 4 * GB, "work cache": 6 * GB})
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
    findings = {finding.what: finding for finding in disk.room({"data/teacher": 4 * GB, "work cache": 9 * GB})}
    assert {what: finding.mark for what, finding in findings.items()} == {
        "disk of the project": "look", "disk of the work cache": "wrong",
    }  # fmt: skip


def test_too_little_memory_is_worth_a_look(found, monkeypatch):
    monkeypatch.setattr(doctor, "free_memory", lambda: (1e6, "the container's limit"))
    finding = found()["memory"]
    assert (finding.mark, finding.found.startswith("1 MB free (the container's limit); training")) == ("look", True)
    monkeypatch.setattr(doctor, "free_memory", lambda: (1e15, ""))
    finding = found()["memory"]
    assert (finding.mark, finding.found.startswith("1,000,000.0 GB free; training")) == ("ok", True)


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A system of 8 GB and 8 cores, in whose groups these files lie: `system("0::/a", {"a/cpu.max": "max 100000"})`."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(environment, "PROC", tmp_path / "proc")
    monkeypatch.setattr(environment, "GROUPS", tmp_path / "cgroup")

    def lay_out(own, files):
        shutil.rmtree(tmp_path / "cgroup", ignore_errors=True)
        (tmp_path / "proc" / "self").mkdir(parents=True, exist_ok=True)
        (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable:  7812500 kB\n")
        (tmp_path / "proc" / "self" / "cgroup").write_text(f"4:memory:/other\n{own}\n")
        for name, text in files.items():
            (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "cgroup" / name).write_text(f"{text}\n")

    return lay_out


def memory(limit, used=0, files=0):
    return {
        "memory.max": limit, "memory.current": used, "memory.stat": f"anon {used - files}\ninactive_file {files}",
    }  # fmt: skip


def within(group, files):
    return {f"{group}/{name}": text for name, text in files.items()}


@pytest.mark.parametrize(
    ("own", "files", "free"),
    [
        ("0::/", {}, 8 * GB),
        ("4:cpu:/", memory(2 * GB), 8 * GB),
        ("0::/", memory("max"), 8 * GB),
        ("0::/", memory(20 * GB, 1 * GB), 8 * GB),
        ("0::/", memory(2 * GB), 2 * GB),
        # Files that were read are given away when room is asked for.
        ("0::/", memory(4 * GB, 3 * GB, 2 * GB), 3 * GB),
        ("0::/", memory(2 * GB, 3 * GB), 0),
        # A group above has the smaller limit; a group that is not to be seen here has none.
        ("0::/a/b", memory("max") | within("a", memory(3 * GB)) | within("a/b", memory(5 * GB)), 3 * GB),
        ("0::/docker/1f", memory(3 * GB), 3 * GB),
    ],
)
def test_free_memory_is_what_the_machine_or_the_container_has(system, own, files, free):
    system(own, files)
    assert environment.free_memory() == (free, "" if free == 8 * GB else "the container's limit")


@pytest.mark.parametrize(
    ("limit", "threads", "mark", "said"),
    [
        ("max 100000", 8, "ok", "8 on 8 cores"),
        ("1600000 100000", 8, "ok", "8 on 8 cores"),
        ("200000 100000", 2, "ok", "2 on 2 cores, the container's limit"),
        ("250000 100000", 8, "look", "8 on 2.5 cores, the container's limit"),
        ("50000 100000", 1, "ok", "1 on 0.5 cores, the container's limit"),
        ("200000 100000", 1, "look", "1 on 2 cores, the container's limit"),
        ("max 100000", 1, "look", "1 on 8 cores"),
    ],
)
def test_threads_and_the_cores_that_they_may_use(system, monkeypatch, limit, threads, mark, said):
    import torch

    system("0::/a", {"a/cpu.max": limit})
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    finding = environment.threads()
    assert (finding.mark, finding.found) == (mark, said)
    assert ("OMP_NUM_THREADS=2" in finding.advice) == (threads == 8 and mark == "look")


def test_a_package_that_is_not_there(monkeypatch, found):
    monkeypatch.setattr(environment, "requires", lambda _: ["nobody-has-this>=1", "pydantic>=2", "ray; extra == 'ray'"])
    findings = found()
    assert findings["packages"].mark == "wrong"
    assert findings["packages"].found == "missing: nobody-has-this"
    assert "device" not in findings
    monkeypatch.setattr(environment, "requires", lambda _: ["pydantic<1"])
    finding = environment.packages()
    assert (finding.mark, finding.found.startswith("pydantic 2")) == ("look", True)


def test_git(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.git().mark == "look"
    subprocess.run(["git", "init", "-q"], check=True)
    assert environment.git() == Finding("ok", "git", "clean")
    (tmp_path / "new").touch()
    assert (environment.git().mark, environment.git().found) == ("look", "1 files changed or new")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.git().found == "git is not installed"


def test_dvc(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = {"code": 0, "out": ""}
    monkeypatch.setattr(environment, "_run", lambda *_: (said["code"], said["out"]))
    assert "no dvc.yaml in" in environment.dvc().found
    (tmp_path / "dvc.yaml").touch()
    assert environment.dvc().mark == "look"
    said["out"] = "store\ts3://bucket/path\t(default)"
    assert environment.dvc() == Finding("ok", "dvc", "a repository, remote store")
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / ".dvc/tmp/rwlock").write_text('{"a": ')
    assert (environment.dvc().mark, environment.dvc().advice) == ("wrong", "remove that file")
    said |= {"code": 253, "out": "ERROR: you are not inside of a DVC repository"}
    assert environment.dvc().found == said["out"]


def test_a_large_work_cache_is_worth_a_look(work_cache, monkeypatch):
    monkeypatch.setattr(environment.workcache, "sizes", lambda: {"augment": (3, 30 * GB)})
    finding = environment.work_cache()
    assert (finding.mark, finding.found) == ("look", f"30.0 GB in {work_cache}")


def test_bytes():
    assert [format_bytes(size) for size in (2e5, 9.9e8, 1.26e9, 2e12)] == ["0 MB", "990 MB", "1.3 GB", "2,000.0 GB"]
