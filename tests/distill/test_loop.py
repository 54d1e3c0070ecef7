"""Algorithm 1 on a tiny teacher and student: what is learnt, what is kept, and what the selector is paid."""

import copy
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from helpers.killed import EveryStep, Killed

from pipeline.data.texts import read_texts
from pipeline.distill import run as run_module
from pipeline.distill.dataset import read_dataset
from pipeline.distill.loop import distill
from pipeline.distill.losses import DistillationLosses
from pipeline.distill.run import Distillation
from pipeline.distill.selector import ReinforcedSelector, TextSelector
from pipeline.errors import InputError
from pipeline.evaluation.validation import Score, Validation
from pipeline.models.loading import load_classifier
from pipeline.models.student import build_student
from pipeline.params.objectives import OBJECTIVES

FIT = {"epochs": 2, "batch_size": 16, "learning_rate": 0.002}


@pytest.fixture
def run(make_params, uneven, augmented, cached, tiny_classifier, tokenizer):
    """Distil; gives what the loop returned, the student, and what was logged."""

    def run(
        *,
        validation=None,
        change=lambda dataset: None,
        distill_=None,
        dropout=True,
        earlier=None,
        checkpoint=None,
        **sections,
    ):
        sections = {"student": {"init": "fresh", "hidden": 16, "intermediate": 32, "heads": 4}, **sections}
        params = make_params(distill={**FIT, **(distill_ or {})}, **sections)
        texts = read_texts(uneven / "validation.parquet")
        student = build_student(params, teacher=tiny_classifier, labels=texts.names, pairs=False)
        for module in student.modules():
            if isinstance(module, torch.nn.Dropout) and not dropout:
                module.p = 0.0
        folders = {"prepared": uneven, "augmented": augmented, "cache": cached}
        dataset = read_dataset(params, **folders, tokenizer=tokenizer, teacher_tokenizer=tokenizer)
        dataset = change(dataset) or dataset
        validation = validation or Validation(texts, tokenizer, 16)
        logged = []
        teacher = (
            load_classifier(str(tiny_classifier), "teacher").eval()
            if params.objectives.active(lambda objective: objective.live)
            else None
        )
        given = {"earlier": earlier, "teacher": teacher, "checkpoint": checkpoint}
        done = distill(
            Distillation(student, 32, dataset, validation, params, lambda *given: logged.append(given), **given)
        )
        return done, student, logged

    return run


def weights(model):
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(weight, other[name]) for name, weight in one.items())


@pytest.fixture
def decide(monkeypatch):
    """Replace the selector's draws: `decide(lambda probabilities: ...)`."""

    def replace(rule):
        monkeypatch.setattr(ReinforcedSelector, "decide", lambda _self, probabilities: rule(probabilities))

    return replace


def drop_all(probabilities):
    return torch.zeros(probabilities.shape, dtype=torch.bool)


def well_informed(dataset):
    """Make the teacher sure of every label."""
    dataset.cache.logits[dataset.cache_rows] = 2.0 * np.eye(2, dtype=np.float32)[dataset.labels]


WIDE = {"init": "fresh", "hidden": 32, "intermediate": 32, "heads": 4}


def only(*names):
    return {name: float(name in names) for name in OBJECTIVES}


def test_without_dropout_it_learns_as_with_none_of_it(run):
    """Validation goes on in evaluation mode, and must leave the student in the mode in which it learns."""
    _, wanted, _ = run(dropout=False)
    _, student, _ = run(distill_={"dropout": False})
    _, other, _ = run()
    assert same(weights(student), wanted.state_dict())
    assert not same(weights(student), other.state_dict())


@pytest.mark.parametrize("on", OBJECTIVES)
def test_each_loss_falls(run, on):
    longer = {"epochs": 20, "learning_rate": 0.01}
    given = {"student": WIDE} if on in ("cosine", "patience", "vectors") else {}
    _, _, logged = run(objectives=only(on), selector={"kind": "none"}, change=well_informed, distill_=longer, **given)
    losses = [figures[f"loss/{on}"] for _, figures in logged if f"loss/{on}" in figures]
    assert len(losses) == 20 * 7
    assert np.mean(losses[-7:]) < 0.8 * np.mean(losses[:7])
    assert not any(f"loss/{name}" in figures for _, figures in logged for name in OBJECTIVES if name != on)


@pytest.mark.slow
@pytest.mark.parametrize("on", ["hard", "logits"])
def test_predictions_are_learnt_by_other_losses_and_by_a_bilstm(run, on):
    """From the labels, or from the logits of a teacher that is sure of them."""
    longer = {"epochs": 15, "learning_rate": 0.01}
    given = {"student": {"init": "bilstm"}, "selector": {"kind": "none"}, "change": well_informed}
    done, student, _ = run(objectives=only(on), distill_=longer, **given)
    assert done.best.metric >= 0.85
    assert student.config.model_type == "l2a_bilstm"
    assert not student.training


def test_the_student_learns_what_the_teacher_knows(run):
    longer = {"epochs": 20, "learning_rate": 0.01}
    dark = {"attention": 0, "hidden": 0}
    done, _, logged = run(objectives=dark, change=well_informed, selector={"kind": "none"}, distill_=longer)
    assert logged[6][1].keys() == {"loss/dark"}
    assert done.best.metric >= 0.85
    assert -done.best.minus_loss == min(
        figures["validation/loss"] for _, figures in logged if "validation/loss" in figures
    )


class Scripted:
    """A validation that gives the scores of a script, and remembers the student at each."""

    def __init__(self, metrics):
        self.metrics, self.seen = list(metrics), []

    def score(self, student):
        self.seen.append(weights(student))
        metric = self.metrics[len(self.seen) - 1]
        return Score(metric, metric - 1)


def test_the_best_epoch_s_student_is_kept(run):
    script = Scripted([0.5, 0.9, 0.9, 0.7])
    done, student, _ = run(validation=script, selector={"kind": "none"}, distill_={"epochs": 4})
    assert (done.best.metric, done.epoch, done.steps) == (0.9, 2, 28)
    # After each epoch, and not before: there is nobody to pay.
    assert len(script.seen) == 4
    assert same(weights(student), script.seen[1])
    assert not same(script.seen[1], script.seen[2])
    assert not student.training


def test_states_come_first(run):
    """Of four epochs two are of states: what predicts is not moved, and however good, the student is not kept."""
    both = {"hidden": 1, "attention": 1, "dark": 1, "hard": 1}
    given = {"selector": {"kind": "none"}, "objectives": both}
    script = Scripted([0.9, 0.8, 0.5, 0.6])
    done, student, _ = run(validation=script, distill_={"epochs": 4, "states_first": 0.5}, **given)
    assert (done.best.metric, done.epoch, done.epochs) == (0.6, 4, 4)
    assert same(weights(student), script.seen[3])
    heads = [{name: weight for name, weight in seen.items() if "classifier" in name} for seen in script.seen]
    assert same(heads[0], heads[1])
    assert not same(heads[1], heads[2])
    assert not same(script.seen[0], script.seen[1])
    again = run(validation=Scripted([0.9, 0.8, 0.6, 0.5]), distill_={"epochs": 4, "states_first": 0.5}, **given)
    assert (again[0].best.metric, again[0].epoch) == (0.6, 3)
    # W is of no use any more: nothing moves it.
    torch.testing.assert_close(
        again[0].projection_and_policy["projection.weight"], done.projection_and_policy["projection.weight"]
    )
    assert not same(weights(again[1]), weights(student))


@pytest.mark.parametrize(
    ("states_first", "epochs", "made", "first"), [(0.01, 3, 3, 2), (0.99, 3, 3, 3), (0.5, 1, 2, 2), (0, 3, 3, 1)]
)
def test_each_of_the_two_phases_has_an_epoch(run, states_first, epochs, made, first):
    script = Scripted([0.9, 0.9, 0.9][:made])
    fit = {"epochs": epochs, "states_first": states_first}
    done, _, _ = run(validation=script, selector={"kind": "none"}, distill_=fit)
    assert (done.epochs, done.epoch) == (made, first)


def test_what_the_teacher_says_is_not_heard_while_states_come_first(run):
    """Other logits change nothing in that phase, and the student after it."""
    scripts = [Scripted([0.5, 0.5]), Scripted([0.5, 0.5])]
    given = {"distill_": {"epochs": 2, "states_first": 0.5}, "selector": {"kind": "none"}}
    run(validation=scripts[0], **given)
    run(validation=scripts[1], change=wrong(slice(0, 112)), **given)
    assert same(scripts[0].seen[0], scripts[1].seen[0])
    assert not same(scripts[0].seen[1], scripts[1].seen[1])


@pytest.mark.parametrize(("kind", "seen"), [("none", [{"hidden"}, {"dark"}]), ("reinforced", [{"hidden", "dark"}] * 2)])
def test_losses_that_nothing_reads_are_not_computed(run, kind, seen):
    """The policy sees all of them, the optimizer those of the phase."""
    fit = {"epochs": 2, "states_first": 0.5}
    objectives = {"attention": 0, "hidden": 1, "dark": 1}
    _, _, logged = run(selector={"kind": kind}, distill_=fit, objectives=objectives)
    curves = [{name.removeprefix("loss/") for name in figures if name.startswith("loss/")} for _, figures in logged]
    curves = [names for names in curves if names]
    half = len(curves) // 2
    assert curves == [seen[0]] * half + [seen[1]] * half


def test_rewards_are_what_a_step_did_to_the_metric(run):
    """One score before and one after each step: the last step's after is the next one's before (Eq. 13)."""
    metrics = [0.95, 0.6, 0.4, 0.4, 0.9, 0.8, 0.8, 0.85, *[0.85] * 7]
    script = Scripted(metrics)
    done, student, logged = run(validation=script, selector={"reward": "metric"})
    rewards = [figures["reward"] for _, figures in logged if "reward" in figures]
    np.testing.assert_allclose(rewards, np.diff(metrics), atol=1e-12)
    assert len(script.seen) == 15
    # The untrained student does not count; of epochs that end alike the first does.
    assert (done.best.metric, done.epoch) == (0.85, 1)
    assert same(weights(student), script.seen[7])


def test_rewards_of_the_loss(run):
    _, _, logged = run(selector={"reward": "loss"})
    steps = [figures for _, figures in logged if "reward" in figures]
    losses = [figures["validation/loss"] for figures in steps]
    np.testing.assert_allclose([figures["reward"] for figures in steps[1:]], -np.diff(losses), atol=1e-9)


def test_without_a_selector_everything_is_kept(run):
    done, _, logged = run(selector={"kind": "none"})
    assert (done.pi == 1).all()
    assert done.kept.all()
    assert not any("reward" in figures or "return" in figures for _, figures in logged)
    assert [figures["kept/target"] for _, figures in logged if "kept/target" in figures] == [1.0, 1.0]


@pytest.mark.parametrize("reward", ["text", "metric"])
def test_where_nothing_may_be_dropped_no_policy_is_rewarded(run, reward):
    def none(dataset):
        dataset.droppable[:] = False

    done, student, logged = run(change=none, selector={"reward": reward})
    without, other, _ = run(change=none, selector={"kind": "none"})
    assert not any("reward" in figures or "return" in figures for _, figures in logged)
    assert done.best == without.best
    assert same(weights(student), weights(other))


def test_originals_are_always_kept(run, decide):
    decide(drop_all)
    done, _, logged = run()
    assert (done.pi[96:] == 1).all()
    assert done.kept[96:].all()
    assert not done.kept[:96].any()
    assert ((done.pi[:96] > 0) & (done.pi[:96] < 1)).all()
    assert logged[-1][1]["kept/source"] == logged[-1][1]["kept/target"] == 0.0


def test_originals_of_other_domains_may_be_dropped(run, decide):
    def first_originals(dataset):
        dataset.droppable[96:100] = True
        domains = dataset.domains.to_pylist()
        return replace(dataset, domains=pa.array([*domains[:96], *["source"] * 4, *domains[100:]]))

    decide(drop_all)
    done, _, logged = run(change=first_originals)
    assert not done.kept[:100].any()
    assert done.kept[100:].all()
    assert ((done.pi[96:100] > 0) & (done.pi[96:100] < 1)).all()
    assert logged[-1][1]["kept/source"] == logged[-1][1]["kept/target"] == 0.0


def wrong(rows):
    """Make the teacher say something else of these rows."""

    def change(dataset):
        dataset.cache.logits[dataset.cache_rows[rows]] *= -7.0
        dataset.cache.logits[dataset.cache_rows[rows]] += np.array([3.0, 0.0], np.float32)

    return change


def test_a_dropped_sample_has_no_gradient(run, decide):
    """Whatever the teacher says of what is dropped, the student becomes the same; of what is kept, it does not."""
    dark = {"attention": 0, "hidden": 0}
    decide(drop_all)
    _, plain, _ = run(objectives=dark)
    _, other, _ = run(objectives=dark, change=wrong(slice(0, 96)))
    assert same(weights(plain), weights(other))
    _, other, _ = run(objectives=dark, change=wrong(slice(96, 112)))
    assert not same(weights(plain), weights(other))
    decide(lambda probabilities: ~drop_all(probabilities))
    _, plain, _ = run(objectives=dark)
    _, other, _ = run(objectives=dark, change=wrong(slice(0, 96)))
    assert not same(weights(plain), weights(other))


def test_the_loss_is_the_mean_over_what_is_kept(run, decide, monkeypatch):
    """The gradient of a batch of which ten are kept is that of a batch of those ten alone."""
    gradients = []

    def record(parameters, _):
        gradients.append([parameter.grad.clone() for parameter in parameters if parameter.grad is not None])

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", record)
    one_batch = {"epochs": 1, "batch_size": 112, "originals": []}
    kept = []
    real = run_module.epoch_batches

    def rows_served(*given, **options):
        (rows,) = real(*given, **options)
        kept[:] = rows[:10]
        return [rows]

    monkeypatch.setattr(run_module, "epoch_batches", rows_served)
    decide(lambda chances: torch.arange(len(chances)) < 10)
    run(distill_=one_batch, dropout=False)
    monkeypatch.setattr(run_module, "epoch_batches", lambda *_, **__: [np.array(kept)])
    decide(lambda chances: torch.ones_like(chances).bool())
    run(distill_=one_batch, dropout=False)
    for some_of_many, alone in zip(*gradients, strict=True):
        torch.testing.assert_close(some_of_many, alone, rtol=1e-3, atol=1e-6)


def test_no_sample_kept_is_no_step_and_no_reward(run, decide):
    decide(drop_all)
    script = Scripted([0.5, 0.7])
    done, student, logged = run(validation=script, distill_={"originals": []}, selector={"reward": "metric"})
    # The first score, and no other: there was nothing to measure.
    assert len(script.seen) == 1
    assert same(script.seen[0], weights(student))
    assert [figures["reward"] for _, figures in logged if "reward" in figures] == [0.0] * done.steps
    assert done.steps == 12


def test_a_random_selector_keeps_its_share_and_learns_nothing(run):
    """It is asked for no validation but after each epoch."""
    done, _, logged = run(selector={"kind": "random", "initial_keep": 0.7}, distill_={"epochs": 3})
    neighbours = done.pi < 1
    assert set(done.pi.tolist()) == {np.float32(0.7), 1.0}
    assert done.kept[neighbours].mean() == pytest.approx(0.7, abs=0.15)
    assert done.kept[~neighbours].all()
    assert not any({"reward", "return"} & set(figures) for _, figures in logged)
    assert sum("validation/metric" in figures for _, figures in logged) == 3
    assert {name.partition(".")[0] for name in done.projection_and_policy} == {"projection"}


def test_what_was_learnt_is_gone_on_with(run):
    """W and the policy of the previous round are where the next one begins."""
    done, _, _ = run(distill_={"epochs": 1})
    assert {name.partition(".")[0] for name in done.projection_and_policy} == {"projection", "policy"}
    marked = {name: torch.full_like(tensor, 0.01) for name, tensor in done.projection_and_policy.items()}
    again, _, _ = run(distill_={"epochs": 1, "learning_rate": 1e-12}, selector={"learning_rate": 1e-12}, earlier=marked)
    for name, tensor in again.projection_and_policy.items():
        torch.testing.assert_close(tensor, marked[name], atol=1e-6, rtol=0, msg=name)


def test_few_texts_are_gone_through_until_there_are_steps_enough(run):
    """112 texts in batches of 40 are three steps: as many epochs as make ten of them."""
    done, _, _ = run(distill_={"epochs": 2, "least_steps": 10, "batch_size": 40})
    assert (done.epochs, done.steps) == (4, 12)


def test_steps_go_on_after_one_that_kept_nothing(run, decide):
    calls = []

    def first_nothing(probabilities):
        calls.append(len(probabilities))
        return drop_all(probabilities) if len(calls) == 1 else ~drop_all(probabilities)

    decide(first_nothing)
    script = Scripted([0.5] * 13)
    run(validation=script, distill_={"originals": []}, selector={"reward": "metric"})
    assert len(script.seen) == 12
    assert not same(script.seen[0], script.seen[-1])


@pytest.mark.parametrize("representations", [False, True])
def test_what_the_policy_sees(run, monkeypatch, representations):
    """Two probabilities and a loss of each model, three objectives, log P_s; and the [CLS] states of both."""
    seen = []
    real = TextSelector.probabilities

    def probabilities(self, state):
        seen.append(state)
        return real(self, state)

    monkeypatch.setattr(TextSelector, "probabilities", probabilities)
    run(selector={"representations": representations}, distill_={"epochs": 1})
    assert {state.shape[1] for state in seen} == {3 + 3 + 3 + 1 + (16 + 32 if representations else 0)}
    assert sum(len(state) for state in seen) == 96
    assert all(torch.isfinite(state).all() for state in seen)


def test_representations_without_the_hidden_objective(run):
    done, _, _ = run(selector={"representations": True}, objectives={"hidden": 0}, distill_={"epochs": 1})
    assert done.steps == 7


def recorded_episodes(monkeypatch, selector):
    episodes = []
    real = selector.learn

    def learn(self, episode):
        episodes.append(copy.copy(episode))
        return real(self, episode)

    monkeypatch.setattr(selector, "learn", learn)
    return episodes


def test_the_policy_learns_once_an_episode(run, monkeypatch):
    episodes = recorded_episodes(monkeypatch, ReinforcedSelector)
    run(distill_={"epochs": 3}, selector={"reward": "loss"})
    assert [len(episode) for episode in episodes] == [7, 7, 7]
    assert all(len(step.features) == len(step.keep) for episode in episodes for step in episode)
    assert sum(len(step.features) for step in episodes[0]) == 96


def test_the_policy_learns_from_rewards_of_texts_every_few_steps(run, monkeypatch):
    """In 21 steps every fourth: five times, whatever epochs they fall in; the curves have rewards and scores there."""
    episodes = recorded_episodes(monkeypatch, TextSelector)
    done, _, logged = run(distill_={"epochs": 3}, selector={"every": 4})
    assert [len(episode) for episode in episodes] == [1] * 5
    for (step,) in episodes:
        assert len(step.features) == len(step.keep) == len(step.reward)
        assert step.reward.std() > 0
    rewarded = [step for step, figures in logged if "reward" in figures]
    assert rewarded == [4, 8, 12, 16, 20]
    assert all(
        figures.keys() >= {"validation/metric", "validation/loss"} for _, figures in logged if "reward" in figures
    )
    assert len(set(done.pi[:96].tolist())) > 2


def test_a_batch_of_which_nothing_may_be_dropped_brings_no_reward(run, monkeypatch):
    """One text may be dropped: a reward an epoch, though each step could have one."""

    def all_but_one(dataset):
        dataset.droppable[1:] = False

    episodes = recorded_episodes(monkeypatch, TextSelector)
    done, _, _ = run(change=all_but_one, selector={"every": 1})
    assert len(episodes) == done.steps
    assert sum(len(step.reward) for episode in episodes for step in episode) == 2


def test_texts_are_valued_at_the_shares_of_the_classes(run, monkeypatch, uneven, tokenizer):
    found, real = [], run_module.text_rewards
    monkeypatch.setattr(run_module, "text_rewards", lambda *given: found.append(given[3]) or real(*given))
    texts = read_texts(uneven / "validation.parquet")
    few = [*np.flatnonzero(texts.labels == 0)[:2], *np.flatnonzero(texts.labels == 1)[:6]]
    some = replace(
        texts, ids=[texts.ids[i] for i in few], texts=[texts.texts[i] for i in few], labels=texts.labels[few]
    )
    run(selector={"every": 4}, validation=Validation(some, tokenizer, 16))
    assert [same.exp().tolist() for same in found] == [pytest.approx([3 / 10, 7 / 10])] * 3


def test_rewards_of_texts_leave_the_student_as_it_is(run, monkeypatch):
    """Whether its texts are rewarded or not, the student is the same as long as the same texts are kept."""
    monkeypatch.setattr(TextSelector, "learn", lambda self, episode: 0.0)
    _, often, _ = run(selector={"every": 1})
    _, never, _ = run(selector={"every": 1000})
    assert same(weights(often), weights(never))


def test_texts_with_wrong_answers_are_dropped(run):
    """The answers of a fifth of the neighbours are turned round, which contradicts the labels that the policy sees."""
    harm = np.zeros(112, dtype=bool)
    harm[:96:5] = True

    def change(dataset):
        well_informed(dataset)
        dataset.cache.logits[dataset.cache_rows[harm]] *= -1.0
        dataset.cache.logits[dataset.cache_rows[harm]] += 2.0

    given = {"objectives": {"attention": 0, "hidden": 0}, "distill_": {"epochs": 24, "learning_rate": 0.01}}
    done, _, _ = run(**given, change=change, selector={"every": 2})
    assert done.pi[harm].mean() < 0.5 * done.pi[:96][~harm[:96]].mean()


@pytest.mark.parametrize("kind", ["reinforced", "random", "none"])
def test_the_same_seed_the_same_student(run, kind):
    (one, student, logged), (other, again, logged_again) = (run(selector={"kind": kind}) for _ in range(2))
    assert same(weights(student), weights(again))
    assert np.array_equal(one.pi, other.pi)
    assert np.array_equal(one.kept, other.kept)
    assert logged == logged_again
    _, different, _ = run(selector={"kind": kind}, seed=2)
    assert not same(weights(student), weights(different))


@pytest.mark.parametrize(
    ("kills", "sections"),
    [
        ([1], {}),
        ([6], {"selector": {"every": 3}}),
        ([3, 1, 2, 5], {"selector": {"every": 3, "initial_keep": 0.6}, "objectives": {"masked_lm": 1.0}}),
        ([7], {"selector": {"kind": "reinforced", "reward": "loss", "learning_rate": 0.05}}),
        ([3, 9, 1], {"selector": {"reward": "metric", "learning_rate": 0.05, "initial_keep": 0.5}}),
        ([9], {"selector": {"kind": "random", "initial_keep": 0.5}}),
        ([4, 5], {"selector": {"kind": "none"}}),
        ([10], {"objectives": {"masked_lm": 1.0}}),
        ([5, 6], {"distill_": {"epochs": 3, "states_first": 0.3}, "selector": {"kind": "reinforced"}}),
    ],
)
def test_a_killed_run_goes_on(run, monkeypatch, work_cache, kills, sections):
    """With dropout; seven steps an epoch. Curves, π, decisions, W, policy and student are those of a run in peace."""
    whole, student, logged = run(**sections)
    served = []
    imitate = DistillationLosses.forward
    monkeypatch.setattr(DistillationLosses, "forward", lambda *given: served.append(1) or imitate(*given))
    for steps in kills:
        with pytest.raises(Killed):
            run(checkpoint=EveryStep(steps), **sections)
    parts, again, told = run(checkpoint=EveryStep(), **sections)
    assert len(served) == whole.steps
    assert told == logged
    assert same(weights(student), weights(again))
    assert (parts.best, parts.epoch, parts.steps) == (whole.best, whole.epoch, whole.steps)
    assert np.array_equal(parts.pi, whole.pi)
    assert np.array_equal(parts.kept, whole.kept)
    assert same(whole.projection_and_policy, parts.projection_and_policy)


def test_a_learning_rate_with_which_nothing_is_a_number(run):
    with pytest.raises(InputError, match=r"^distill\.learning_rate: got 1e\+30, with which the loss is not finite"):
        run(distill_={"learning_rate": 1e30, "warmup": 0}, selector={"kind": "none"})
    with pytest.raises(InputError, match=r"^distill\.learning_rate: got 1e\+30, with which the loss is not finite"):
        run(distill_={"learning_rate": 1e30, "warmup": 0})
