"""Two processes take the steps of one: they split the batches, decide alike, and only rank 0 writes outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline.compute import distributed

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LAUNCH = ["-m", "torch.distributed.run", "--nproc_per_node", "2"]


@pytest.fixture(scope="module")
def outcomes(make_params, uneven, augmented, cached, tiny_classifier, tmp_path_factory):
    """Weights and figures of one process and of each of two, by task, number of processes and rank."""
    student = {"init": "fresh", "hidden": 16, "intermediate": 32, "heads": 4}
    # Five texts do not go evenly into two; the last batch of the training texts has one.
    selector = {"initial_keep": 0.7, "every": 4}
    params = make_params(
        teacher={"batch_size": 5, "learning_rate": 0.001},
        distill={"epochs": 2, "batch_size": 5, "learning_rate": 0.003},
        student=student,
        selector=selector,
    )
    paths = {"prepared": uneven, "augmented": augmented, "cache": cached, "teacher": tiny_classifier}
    options = {name: str(path) for name, path in paths.items()} | {"params": params.model_dump(mode="json")}
    results = {}
    for count, launch in ((1, []), (2, LAUNCH)):
        out = tmp_path_factory.mktemp(f"of_{count}")
        environment = os.environ | {"XDG_CACHE_HOME": str(out / "cache"), "PYTHONPATH": str(ROOT)}
        words = [sys.executable, *launch, str(ROOT / "tests/helpers/two_processes.py"), json.dumps(options), str(out)]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        for file in out.glob("*.safetensors"):
            what, index, _, _ = file.stem.split("-")
            results[what, count, int(index)] = load_file(file), json.loads(file.with_suffix(".json").read_text())
    return results


@pytest.mark.parametrize("what", ["fine_tuned", "distilled"])
def test_two_processes_take_the_steps_of_one(outcomes, what):
    alone, figures_alone = outcomes[what, 1, 0]
    first, figures = outcomes[what, 2, 0]
    second, figures_second = outcomes[what, 2, 1]
    # Both ranks agree exactly. One process adds in another order, which changes the last digit, and where a gradient is
    # almost 0, Adam amplifies that: after 12 and more steps of 0.003.
    assert figures == figures_second
    for name, weight in first.items():
        assert torch.equal(weight, second[name]), name
        torch.testing.assert_close(weight, alone[name], rtol=0, atol=0.003, msg=name)
    if what == "fine_tuned":
        for epoch, epoch_alone in zip(figures["history"], figures_alone["history"], strict=True):
            assert epoch == pytest.approx(epoch_alone, abs=1e-3)
    else:
        assert len(figures) == len(figures_alone)
        for (_, numbers), (_, numbers_alone) in zip(figures, figures_alone, strict=True):
            assert numbers == pytest.approx(numbers_alone, abs=1e-3)


def test_the_selector_decided_something(outcomes):
    kept = outcomes["distilled", 2, 0][0]["kept"]
    assert 0 < kept.sum() < len(kept)


def test_a_single_process_gets_its_inputs_back():
    assert (distributed.world_size(), distributed.rank()) == (1, 0)
    rows = np.array([3, 1, 4])
    local, count = distributed.local_rows(rows)
    assert (local.tolist(), count) == ([3, 1, 4], 3)
    assert distributed.loss_scale(3, 3) == 1.0
    some = torch.rand(3, 2)
    assert distributed.all_gather_rows(some, 3) is some
    assert distributed.broadcast_floats([0.1, 0.2]) == [0.1, 0.2]
    assert distributed.all_reduce_sum(0.1) == 0.1


def test_a_stage_on_two_processes_publishes_once(make_params, uneven, tiny_encoder, tmp_path):
    teacher = {"domains": ["target"], "epochs": {"source": 0, "target": 1}}
    params = make_params(teacher=teacher, generator={"model": str(tiny_encoder)})
    (tmp_path / "params.yaml").write_text(json.dumps(params.model_dump(mode="json", exclude_none=True)))
    outs = [f"--{name}={tmp_path / path}" for name, path in {"out": "model", "metrics": "teacher.json"}.items()]
    launch = {"L2A_LAUNCH": "torch.distributed.run --nproc_per_node 2", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        ["stages/run", "teacher", f"--params={tmp_path / 'params.yaml'}", f"--prepared={uneven}", *outs],
        cwd=ROOT,
        env=os.environ | launch | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"params.yaml", "cache", "model", "teacher.json"}
