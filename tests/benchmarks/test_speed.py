"""The speed benchmarks on tiny models: counts of operations, timing, and results."""

import json
import re
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

from benchmarks.speed import (
    attention,
    caching,
    default_run,
    first_answer,
    flops,
    growth,
    int8,
    measure,
    nlpaug_peer,
    processes,
    proposal,
    sampling,
    selector,
    startup,
    step,
    throughput,
    timed_steps,
    whole_run,
)
from benchmarks.speed import hub as hub_benchmark
from benchmarks.speed.measure import Figure
from pipeline.compute.batching import epoch_batches
from pipeline.distill.losses import DistillationLosses
from pipeline.errors import InputError
from pipeline.models.attention import attention_route
from pipeline.models.forward_shortcuts import head_only_at, last_layer_first_token_only
from pipeline.models.loading import load_classifier
from pipeline.params.file import load
from pipeline.serving.onnx_model import open_onnx

SPEED = Path(measure.__file__).parent


@pytest.fixture
def tiny_run(sampled_params, uneven, augmented, cached, tiny_classifier, tiny_masked_lm, tmp_path, monkeypatch):
    """Tiny outputs of `dvc repro`, and a folder of their own for results, which is returned."""
    outs = {
        "data/prepared": uneven,
        "data/augmented": augmented,
        "data/teacher": cached,
        "models/teacher": tiny_classifier,
        "models/generator": tiny_masked_lm,
    }
    for path, target in outs.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).symlink_to(target)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(sampled_params.model_dump()))
    monkeypatch.setattr(default_run, "ROOT", tmp_path)
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(flops, "SIZE", 64)
    return tmp_path / "results"


@pytest.mark.parametrize("lengths", [[7], [3, 11, 6]])
def test_operations_are_those_torch_counts_without_padding(lengths):
    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "intermediate_size": 20, "num_attention_heads": 3}
    config = BertConfig(vocab_size=50, attn_implementation="eager", num_labels=4, **sizes)
    classifier = BertForSequenceClassification(config).eval()
    masked_lm = BertForMaskedLM(config).eval()
    counted = {"classifier": 0, "first_token_classifier": 0, "masked_lm": 0}
    for n in lengths:
        tokens = torch.ones(1, n, dtype=torch.int64)
        masks = torch.zeros(1, n, dtype=torch.bool)
        masks[0, :2] = True
        with FlopCounterMode(display=False) as counter:
            classifier(tokens)
        counted["classifier"] += counter.get_total_flops()
        with FlopCounterMode(display=False) as counter, last_layer_first_token_only(classifier):
            classifier(tokens)
        counted["first_token_classifier"] += counter.get_total_flops()
        with FlopCounterMode(display=False) as counter, head_only_at(masked_lm, masks):
            masked_lm(tokens)
        counted["masked_lm"] += counter.get_total_flops()
    assert flops.classifier(config, lengths) == counted["classifier"]
    assert flops.first_token_classifier(config, lengths) == counted["first_token_classifier"]
    needed = flops.encoder(config, lengths) + flops.masked_lm_head(config, 2 * len(lengths))
    assert needed == counted["masked_lm"]


def test_contestants_take_turns_after_a_round_of_warm_up():
    turns = []

    def contestant(name, seconds):
        def turn():
            turns.append(name)
            return next(seconds)

        return turn

    slow, fast = iter([99.0, 4.0, 6.0, 8.0]), iter([99.0, 2.0, 2.0, 4.0])
    seconds = measure.side_by_side({"slow": contestant("slow", slow), "fast": contestant("fast", fast)}, rounds=3)
    assert turns == ["slow", "fast"] * 4
    assert seconds == {"slow": [4.0, 6.0, 8.0], "fast": [2.0, 2.0, 4.0]}
    assert measure.ratio(seconds, "slow", "fast") == 2.0  # of 2, 3 and 2
    assert measure.rate(seconds, "slow", 12) == 2.0


def test_percent_of_the_matrix_rate():
    # Twice the operations of a product in four times its time is half the rate.
    seconds = {"work": [4.0, 8.0, 4.0], "product": [1.0, 2.0, 1.0]}
    assert flops.percent_of_matrix_rate(seconds, "work", 2 * flops.PRODUCT) == 50.0


def test_goals_are_lower_or_upper_bounds(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    figures = [
        Figure("ratio", 14.9, "times", 15),
        Figure("price", 25.0, "%", 25, at_most=True),
        Figure("rate", 1234.5, "per second"),
    ]
    measure.publish("some", figures)
    written = json.loads((tmp_path / "some.json").read_text())
    assert [(goal["name"], goal["reached"]) for goal in written["goals"]] == [("ratio", False), ("price", True)]
    assert {"name", "value", "goal", "unit", "reached"} <= written["goals"][0].keys()
    assert written["figures"] == [{"name": "rate", "value": 1234.5, "unit": "per second"}]
    assert "| rate | 1,234 per second |  |  |" in capsys.readouterr().out


def test_a_stopwatch_does_not_count_the_first_step(monkeypatch):
    clock = iter([10.0, 11.0, 13.0, 99.0])
    monkeypatch.setattr(timed_steps.time, "perf_counter", lambda: next(clock))
    watch = timed_steps.Stopwatch(2)

    def endless():
        while True:
            watch.step()

    assert watch.seconds(endless) == 3.0
    with pytest.raises(RuntimeError, match="ended before"):
        timed_steps.Stopwatch(2).seconds(lambda: None)


def test_the_benchmarks_of_a_step_run(tiny_run, monkeypatch):
    sizes = {"num_hidden_layers": 2, "hidden_size": 24, "intermediate_size": 48, "num_attention_heads": 12}
    monkeypatch.setattr(timed_steps, "TEACHER", sizes)
    monkeypatch.setattr(caching, "TEXTS", 20)
    monkeypatch.setattr(step, "textbrewer", lambda *_: 1.0)
    for benchmark in (caching, selector, step):
        monkeypatch.setattr(benchmark, "STEPS", 1)
        benchmark.main()
    for name in ("caching", "selector", "step"):
        written = json.loads((tiny_run / f"{name}.json").read_text())
        # A share is a difference of two times, which noise may turn round.
        assert all(figure["value"] > 0 for figure in written["figures"] if figure["unit"] != "%")


@pytest.mark.slow
def test_int8_beside_the_library_alone(tiny_run, monkeypatch):
    monkeypatch.setattr(int8, "TEXTS", 10)
    figures = {figure.name: figure for figure in int8.compare("teacher")}
    ours, library = (figures[f"teacher: mean error of a logit{end}"].value for end in ("", " with the library alone"))
    assert 0 < ours < library
    assert figures["teacher: share of the library's error"].value == 100 * ours / library
    assert figures["teacher: throughput"].value > 0


def test_a_live_teacher_gives_the_losses_of_its_cache(tiny_run, tiny_classifier):
    params = default_run.default_params()
    dataset, student = timed_steps.default_dataset(params), timed_steps.default_student(params)
    teacher = load_classifier(tiny_classifier, "teacher")
    live = step.with_live_teacher(teacher, dataset)
    # It tries one text.
    attention_route(teacher)
    passes = []
    teacher.register_forward_hook(lambda *_: passes.append(1))
    torch.manual_seed(0)
    distillation_losses = DistillationLosses(student, 32, dataset, params)
    batches = epoch_batches(dataset.encoded.lengths, size=8, rng=np.random.default_rng(0))
    for rows in batches:
        inputs = dataset.inputs(rows)
        _, cached = distillation_losses(student, None, rows, inputs)
        distillation_losses.dataset = live
        _, computed = distillation_losses(student, None, rows, inputs)
        distillation_losses.dataset = dataset
        for name, loss in cached.items():
            # The cache holds float16.
            torch.testing.assert_close(loss, computed[name], rtol=2e-3, atol=1e-4)
    assert len(passes) == len(batches)


def test_exactly_a_number_of_words():
    log_p = sampling.exactly(3)(5)
    assert np.exp(log_p).tolist() == [0, 0, 0, 1, 0, 0]
    assert np.exp(sampling.exactly(3)(2)).tolist() == [0, 0, 1]


def test_growth_writes_complete_inputs(tiny_run, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(growth, "SIZES", (20, 40))
    monkeypatch.setattr(growth, "raw_params", lambda: yaml.safe_load((SPEED.parents[1] / "params.yaml").read_text()))
    folder = tmp_path / "growth"
    folder.mkdir()
    growth.write_inputs(folder)
    for rows in (20, 40):
        params = load(folder / f"{rows}.yaml")
        assert params.data.source is not None
        assert len(Path(params.data.source.path).read_text().splitlines()) == rows + 1


@pytest.mark.slow
def test_growth_runs_every_stage(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(growth, "SIZES", (60,))
    monkeypatch.setattr(growth, "raw_params", lambda: yaml.safe_load((SPEED.parents[1] / "params.yaml").read_text()))
    monkeypatch.setattr(processes, "ROOT", SPEED.parents[1])
    folder = tmp_path / "growth"
    folder.mkdir()
    growth.write_inputs(folder)
    growth.train_models(folder)
    costs = growth.costs(60, folder)
    assert costs.keys() == set(growth.STAGES)
    assert all(cost.seconds > 0 for cost in costs.values())


def test_the_cost_of_attention(tmp_path, monkeypatch):
    sizes = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    monkeypatch.setattr(attention, "SIZES", sizes)
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    attention.main()
    figures = json.loads((tmp_path / "attention.json").read_text())["figures"]
    assert [figure["unit"].split()[0] for figure in figures] == ["texts", "times", "times", "times", "times"]
    assert all(figure["value"] > 0 for figure in figures)


def test_the_cost_of_a_process():
    small = processes.run(sys.executable, "-c", "import time; time.sleep(0.2)")
    large = processes.run(sys.executable, "-c", "x = b'1' * 200_000_000")
    assert 0.2 <= small.seconds < 20
    assert 190e6 < large.peak - small.peak < 300e6
    with pytest.raises(InputError, match=r"exit code 3: .*went wrong"):
        processes.run(sys.executable, "-c", "import sys; print('went wrong'); sys.exit(3)")
    assert processes.run(sys.executable, "-c", "import sys; sys.exit(3)", check=False).exit_code == 3


def test_a_peer_that_dies_is_one_line(tmp_path, monkeypatch):
    worker = tmp_path / "worker.py"
    worker.write_text("import sys; sys.stdin.readline(); print('seconds 0', flush=True); sys.stdin.readline()")
    monkeypatch.setattr(nlpaug_peer, "WORKER", worker)
    monkeypatch.setattr(nlpaug_peer, "python_of", lambda *_: Path(sys.executable))
    with nlpaug_peer.Nlpaug(tmp_path, ["a text"], 1) as peer, pytest.raises(InputError, match="ended before"):
        peer.seconds()


def test_without_a_run_the_error_names_dvc_repro(tmp_path, monkeypatch):
    monkeypatch.setattr(default_run, "ROOT", tmp_path)
    with pytest.raises(InputError, match="run dvc repro first"):
        default_run.output("models/teacher")


def test_the_readme_has_all_results():
    readme = (SPEED / "README.md").read_text(encoding="utf-8")
    results = sorted((SPEED / "results").glob("*.json"))
    assert results
    for file in results:
        written = json.loads(file.read_text())
        (section,) = [part for part in readme.split("\n## ") if f"-m benchmarks.speed.{file.stem}" in part]
        for figure in written["goals"] + written["figures"]:
            line = next((line for line in section.splitlines() if line.startswith(f"| {figure['name']} | ")), "")
            cells = re.findall(r"\| ([^|]*) \|", line[len(figure["name"]) + 2 :])
            assert cells, f"{file.name}: {figure['name']} has no line in the README"
            assert cells[0] == f"{measure.format_value(figure['value'])} {figure['unit']}"


@pytest.fixture
def checkouts(tmp_path, monkeypatch):
    """Two checkouts, `ours` and `other`, whose commands write what they were called with into `calls`."""
    for name, seconds in (("ours", 0), ("other", 0.2)):
        command = tmp_path / name / ".venv" / "bin" / "l2a"
        command.parent.mkdir(parents=True)
        command.write_text(f'#!/bin/sh\necho "$@ $PWD $PYTHONPATH" >> {tmp_path}/calls\nsleep {seconds}\n')
        command.chmod(0o755)
    for module in (default_run, processes):
        monkeypatch.setattr(module, "ROOT", tmp_path / "ours")
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    return tmp_path


def test_proposals_of_two_checkouts_take_turns_in_their_folders(checkouts):
    proposal.main(checkouts / "other", rows=30)
    called = [line.split() for line in (checkouts / "calls").read_text().splitlines()]
    folders = [str(checkouts / name) for name in ("ours", "other")]
    assert [words[-2:] for words in called] == [[folder] * 2 for folder in folders] * 6
    assert {(words[0], words[2]) for words in called} == {("init", "--yes")}
    written = json.loads((checkouts / "proposal.json").read_text())
    assert written["goals"][0]["value"] > 1


def test_the_rows_of_the_proposal_begin_anew_after_the_last_review(tmp_path, monkeypatch):
    pd.DataFrame(
        {
            "text": ["It begins with a long walk. It ends with a short one.", "No film was ever so dull."],
            "label": [1, 0],
        }
    ).to_csv(tmp_path / "t.csv")
    monkeypatch.setattr(proposal, "package_path", lambda *_: tmp_path / "t.csv")
    assert list(islice(proposal.labelled_sentences(), 4)) == [
        ("It begins with a long walk.", "positive"),
        ("It ends with a short one.", "positive"),
        ("No film was ever so dull.", "negative"),
        ("It begins with a long walk. (2)", "positive"),
    ]


def test_the_first_answers_of_two_checkouts_take_turns(checkouts):
    tmp_path = checkouts
    (tmp_path / "ours" / "models" / "int8").mkdir(parents=True)
    first_answer.main(tmp_path / "other")
    called = [
        f"predict {first_answer.TEXT} --model {tmp_path}/ours/models/int8 {tmp_path}/{name} {tmp_path}/{name}"
        for name in ("ours", "other")
    ]
    assert (tmp_path / "calls").read_text().splitlines() == called * 6
    written = json.loads((tmp_path / "first_answer.json").read_text())
    values = {each["name"]: each["value"] for each in written["goals"] + written["figures"]}
    assert values["the other build: first answer"] >= 0.2
    assert values["faster than the other build"] > 1
    with pytest.raises(InputError, match=r"--against: no such file: .*nowhere/\.venv/bin/l2a"):
        first_answer.main(tmp_path / "nowhere")
    (tmp_path / "without" / ".venv" / "bin").mkdir(parents=True)
    with pytest.raises(InputError, match=r"--against: no such file: .*without/\.venv/bin/python; accepted: a checkout"):
        processes.checkouts(tmp_path / "without")


SPIN = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"


@pytest.fixture
def checkout(tmp_path):
    """A folder with an interpreter as a checkout has it, and two modules, each of which takes 0.3 s to import."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / ".venv" / "bin" / "python").chmod(0o755)
    (tmp_path / "inner.py").write_text(SPIN)
    (tmp_path / "outer.py").write_text(f"import inner\n{SPIN}")
    return tmp_path


@pytest.mark.parametrize("spin", ["", SPIN])
def test_seconds_of_imports_count_once_and_without_the_work(checkout, spin):
    (checkout / "work.py").write_text(f"def work():\n    import outer\n    import inner\n\nwork()\n{spin}")
    nothing = startup.imports(["-c", "pass"], checkout, checkout)
    found = startup.imports(["-m", "work"], checkout, checkout)
    assert 0.6 <= found.seconds - nothing.seconds < 0.75
    assert found.modules >= nothing.modules + 2


def test_a_stage_that_fails_is_one_line(checkout):
    with pytest.raises(InputError, match=r"^-c raise ValueError\('so'\): exit code 1: ValueError: so$"):
        startup.imports(["-c", "raise ValueError('so')"], checkout, checkout)


def test_start_up_is_that_of_all_processes_of_the_default():
    names = (*startup.PROCESSES, startup.LEAST)
    # The first round is the warm-up.
    ours = {name: [startup.Imports(99.0, 7)] + [startup.Imports(1.0, 7)] * 5 for name in names}
    other = {name: [startup.Imports(99.0, 9)] + [startup.Imports(3.0, 9)] * 5 for name in names}
    other["distill"] = [startup.Imports(99.0, 9)] + [startup.Imports(24.0, 9)] * 5
    figures = {figure.name: figure for figure in startup.figures(ours, other)}
    # 14 stages, and 8 of rounds that params do not ask for.
    assert figures["all processes"].value == 22
    assert figures["all processes: the other build"].value == 87
    assert figures["all processes: faster than the other build"].value == 87 / 22
    assert figures["the most that could be reached"].value == 87 / 8
    assert figures["distill"].unit == "s, 7 modules; the other build 24 s, 9 modules"


def test_the_start_up_benchmark_runs_the_default_in_small(checkout):
    startup.write_inputs(checkout, SPEED.parents[1])
    params = load(checkout / "params.yaml")
    default = load(SPEED.parents[1] / "params.yaml")
    assert (params.objectives, params.cache) == (default.objectives, default.cache)
    # A reward is given in the few steps that there are.
    assert params.selector.model_copy(update={"every": default.selector.every}) == default.selector
    (checkout / "stages").symlink_to(SPEED.parents[1] / "stages")
    (checkout / "pipeline").symlink_to(SPEED.parents[1] / "pipeline")
    assert startup.imports(startup.command("prepare"), checkout, checkout).modules > 500
    assert startup.imports(startup.command(startup.SKIPPED), checkout, checkout).modules > 200


def test_the_whole_runs_of_two_builds_take_turns(checkout, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "ROOT", checkout)
    monkeypatch.setattr(whole_run, "PROCESSES", {"distill": 1, "evaluate": 1})
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    other, called = tmp_path / "other", tmp_path / "called"
    for folder, accuracy in ((checkout, 0.8), (other, 0.7)):
        (folder / "stages").mkdir(parents=True)
        (folder / "stages/distill.py").write_text(f"open({str(called)!r}, 'a').write('distill {accuracy}\\n')")
        (folder / "stages/evaluate.py").write_text(
            "from pathlib import Path\nPath('metrics').mkdir()\n"
            f"Path('metrics/evaluation.json').write_text('{{\"student\": {{\"accuracy\": {accuracy}}}}}')\n"
        )
    (other / ".venv").symlink_to(checkout / ".venv")
    whole_run.main(other, rounds=2)
    assert called.read_text().splitlines() == ["distill 0.8", "distill 0.7"] * 2
    written = json.loads((tmp_path / "whole_run.json").read_text())
    values = {each["name"]: (each["value"], each["unit"]) for each in written["goals"] + written["figures"]}
    assert values["accuracy of the student"] == (80, "%; the other build 70 %")


def test_the_whole_run_is_that_of_all_processes(monkeypatch):
    monkeypatch.setattr(whole_run, "PROCESSES", {"distill": 1, "nothing": 8})
    seconds = {
        "ours": {"distill": [10.0, 10.0, 99.0], "nothing": [1.0, 1.0, 1.0], whole_run.ALL: [18.0, 18.0, 107.0]},
        "other": {"distill": [15.0, 20.0, 99.0], "nothing": [2.0, 2.0, 2.0], whole_run.ALL: [30.0, 36.0, 115.0]},
    }
    figures = {figure.name: figure for figure in whole_run.figures(seconds, {"ours": 0.8, "other": 0.7})}
    assert figures["share of the other build's time"].value == pytest.approx(60)
    assert figures["share of the other build's time"].reached
    assert figures["distill: faster than the other build"].value == 1.5
    assert (figures["nothing"].value, figures["nothing"].unit) == (1, "s; the other build 2 s")


def test_what_a_run_spends_on_the_hub(checkout, hub, tmp_path):
    (checkout / "stages").mkdir()
    for name in ("__init__.py", "command.py", "commits.py", "prepare.py"):
        (checkout / "stages" / name).symlink_to(SPEED.parents[1] / "stages" / name)
    (checkout / "pipeline").symlink_to(SPEED.parents[1] / "pipeline")
    (checkout / "params.yaml").symlink_to(SPEED.parents[1] / "params.yaml")
    published = tmp_path / "published"
    published.mkdir()
    params = hub_benchmark.publish_inputs(hub, published)
    full = hub_benchmark.run(checkout, published / "ours", params)
    assert 0 < full.requests <= len(hub.requests)
    asked = len(hub.requests)
    again = hub_benchmark.run(checkout, published / "ours", params)
    assert again.requests == len(hub.requests) - asked < full.requests
    # A commit of each of two models and two tables, and what huggingface_hub asks first.
    assert 4 <= again.requests <= 5
    assert 0 < again.seconds < full.seconds + 1


def test_another_build_gets_the_params_that_it_has():
    ours = {"seed": 1, "score": "auto", "selector": {"kind": "random", "every": 12}, "teacher": {"epochs": {"a": 2}}}
    theirs = {"seed": 0, "selector": {"kind": "none"}, "teacher": {"epochs": 3}}
    expected = {"seed": 1, "selector": {"kind": "random"}, "teacher": {"epochs": {"a": 2}}}
    assert hub_benchmark.known(ours, theirs) == expected


def test_many_lines_are_a_few_again_and_the_tiny_model_answers_them(tmp_path, tiny_classifier):
    lines = throughput.write_lines(tmp_path / "lines.txt", ["the film", "so dull, and never warm"], 5)
    assert lines.read_text().splitlines() == ["the film", "so dull, and never warm"] * 2 + ["the film"]
    model = open_onnx(throughput.tiny_model(tmp_path / "tiny", tiny_classifier))
    assert len(model.predict(lines.read_text().splitlines())) == 5
