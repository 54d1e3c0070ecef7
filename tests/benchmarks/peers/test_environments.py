"""Requirements of the peers and the environments that are made from them."""

import re
import sys

import pytest

from benchmarks.peers import environments
from benchmarks.peers.contestants import PEERS
from pipeline.errors import InputError

FILES = sorted(environments.REQUIREMENTS.glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_requirements_are_pinned(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    for line in lines:
        # No local version such as +cpu, which only one index has.
        assert re.fullmatch(r"[\w.-]+==[\w.]+", line), line
    names = [line.partition("==")[0].lower().replace("_", "-") for line in lines]
    assert len(names) == len(set(names))
    assert not [line for line in lines if line.startswith("torch==") and line != "torch==2.13.0"]


def test_every_file_is_of_a_peer():
    # nlpaug is a peer of sampling, in benchmarks/speed.
    assert {file.stem for file in FILES} == {peer.requirements for peer in PEERS.values()} | {"nlpaug"}


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """The commands that would make environments; requirements are those in `tmp_path`."""
    run = []

    def record(command, requirements):
        run.append(command[1:])
        (tmp_path / "made" / requirements).mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(environments, "_run", record)
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    return run


def test_torch_is_installed_first_and_an_environment_is_kept(tmp_path, commands):
    (tmp_path / "some.txt").write_text("numpy==2.0\ntorch==2.13.0\n")
    python = environments.python_of("some", tmp_path / "made")
    assert python == tmp_path / "made" / "some" / "bin" / "python"
    assert [command[-1] for command in commands[1:]] == ["torch==2.13.0", str(tmp_path / "some.txt")]
    environments.python_of("some", tmp_path / "made")
    assert len(commands) == 3
    (tmp_path / "some.txt").write_text("numpy==2.1\n")
    environments.python_of("some", tmp_path / "made")
    assert len(commands) == 5


def test_pip_that_fails_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"^some.txt: its environment cannot be made \(no such version\)$"):
        environments._run([sys.executable, "-c", "import sys; sys.exit('trying\\nno such version')"], "some")


def test_a_script_runs_offline_without_the_project_on_its_path(tmp_path, monkeypatch, capfd):
    folder = tmp_path / "benchmarks" / "peers"
    folder.mkdir(parents=True)
    (folder / "look.py").write_text(
        "import os, sys\nprint(os.environ['HF_HUB_OFFLINE'], os.environ.get('PYTHONPATH'), sys.argv[1:])\n"
        "sys.exit('wrong' if 'fail' in sys.argv else 0)\n"
    )
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    run = [environments.run_script(sys.executable, "look", [word], tmp_path, tmp_path) for word in ("go", "fail")]
    assert run == [None, "exit code 1: wrong"]
    assert capfd.readouterr().out.splitlines() == ["1 None ['go']", "1 None ['fail']"]
