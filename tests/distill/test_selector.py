"""The policy: what it sees, what it is paid, and that the pay teaches it what to keep (Eqs. 13–15)."""

import itertools
import math
import statistics

import numpy as np
import pytest
import torch
from scipy import special

from pipeline.distill.features import policy_features
from pipeline.distill.selector import ReinforcedSelector, Step, TextSelector, returns
from pipeline.params.distill import Selector

PAPER = {"reward": "metric", "hidden": 128, "learning_rate": 3e-5}


def selector(features=1, seed=1, **changes):
    return ReinforcedSelector(features, Selector.model_validate(PAPER | changes), seed)


def text_selector(features=1, seed=1, **changes):
    return TextSelector(features, Selector.model_validate(changes), seed)


def woken(policy):
    """The policy with a last layer that is not zero, so that the gradient reaches the first."""
    torch.nn.init.normal_(policy.policy[2].weight, generator=torch.Generator().manual_seed(0))
    return policy


def test_returns_by_hand():
    """From the last: 4; 2 + 0.5·4 = 4; −1 + 0.5·4 = 1."""
    assert returns([-1.0, 2.0, 4.0], 0.5) == [1.0, 4.0, 4.0]


@pytest.mark.parametrize(("discount", "wanted"), [(0.0, [1.0, 2.0, 3.0]), (1.0, [6.0, 5.0, 3.0])])
def test_returns_at_the_ends(discount, wanted):
    assert returns([1.0, 2.0, 3.0], discount) == wanted


def test_returns_of_nothing():
    assert returns([], 0.9) == []


def test_the_state_of_a_classification():
    student, teacher = torch.tensor([[0.0, 1.0], [2.0, 0.0]]), torch.tensor([[3.0, 0.0], [0.0, 0.0]])
    labels, log_p = torch.tensor([1, 0]), torch.tensor([-0.5, 2.0])
    losses = [torch.tensor([0.1, 0.2]), torch.tensor([5.0, 6.0])]
    found = policy_features(student, teacher, labels, log_p, losses, regression=False).numpy()
    teaches, learns = special.softmax(teacher.numpy(), 1), special.softmax(student.numpy(), 1)
    for row, label in enumerate(labels.tolist()):
        wanted = [
            *teaches[row], -math.log(teaches[row, label]), *learns[row], -math.log(learns[row, label]),
            losses[0][row], losses[1][row], log_p[row],
        ]  # fmt: skip
        np.testing.assert_allclose(found[row], wanted, rtol=1e-5)


def test_the_state_of_a_regression():
    student, teacher = torch.tensor([[0.5]]), torch.tensor([[2.0]])
    found = policy_features(
        student, teacher, torch.tensor([1.0]), torch.tensor([0.3]), [torch.tensor([2.25])], regression=True
    )
    # The teacher's output and its squared error, the student's, the loss between them, log P_s.
    torch.testing.assert_close(found, torch.tensor([[2.0, 1.0, 0.5, 0.25, 2.25, 0.3]]))


def test_representations_stand_behind():
    student = torch.zeros(2, 3, requires_grad=True)
    own, theirs = torch.rand(2, 4, requires_grad=True), torch.rand(2, 5).half()
    labels, log_p = torch.tensor([0, 2]), torch.zeros(2)
    found = policy_features(student, student, labels, log_p, [], regression=False, representations=[own, theirs])
    assert found.shape == (2, 3 + 1 + 3 + 1 + 1 + 4 + 5)
    torch.testing.assert_close(found[:, -9:], torch.cat([own, theirs.float()], 1))
    assert found.dtype == torch.float32
    assert not found.requires_grad


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_an_untrained_policy_keeps_the_initial_share(share):
    state = torch.randn(4000, 8, generator=torch.Generator().manual_seed(0))
    policy = selector(8, initial_keep=share)
    chances = policy.probabilities(state)
    torch.testing.assert_close(chances, torch.full((4000,), share))
    kept = policy.decide(chances)
    assert kept.dtype == torch.bool
    assert kept.float().mean().item() == pytest.approx(share, abs=0.03)


def test_certain_decisions():
    policy = selector()
    assert policy.decide(torch.ones(500)).all()
    assert not policy.decide(torch.zeros(500)).any()


def test_the_paper_s_policy():
    """Two layers with 128 hidden units and tanh; Adam(0.9, 0.998)."""
    policy = selector(7)
    assert [tuple(each.shape) for each in policy.policy.parameters()] == [(128, 7), (128,), (1, 128), (1,)]
    assert isinstance(policy.policy[1], torch.nn.Tanh)
    assert policy.optimizer.defaults["betas"] == (0.9, 0.998)
    assert policy.optimizer.defaults["lr"] == 3e-5


def test_the_gradient_of_eq_15_by_hand(monkeypatch):
    """Two steps with returns 1.5 and 1: descent on −1/2 Σ_t r(τ_t) mean_z log π(a_z|s_z)."""
    policy = woken(selector(2, discount=0.5, hidden=4))
    monkeypatch.setattr(policy.optimizer, "step", lambda: None)
    states = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[2.0, 2.0]])
    keeps = torch.tensor([True, False]), torch.tensor([True])
    mean = policy.learn([Step(states[0], keeps[0], 1.0), Step(states[1], keeps[1], 1.0)])
    assert mean == pytest.approx(1.25)
    found = [parameter.grad.clone() for parameter in policy.policy.parameters()]
    kept = policy.policy(states[0]).sigmoid()[:, 0]
    log_pi = torch.stack([kept[0].log(), (1 - kept[1]).log()])
    objective = (1.5 * log_pi.mean() + 1.0 * policy.policy(states[1]).sigmoid().log().squeeze()) / 2
    wanted = torch.autograd.grad(-objective, list(policy.policy.parameters()))
    for ours, theirs in zip(found, wanted, strict=True):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs)


def test_a_step_without_neighbours_pays_those_before_it(monkeypatch):
    """Rewards 1, 4, 2 with γ = 0.5 are returns 3.5, 5, 2, of which the middle one has nothing to teach."""
    policy = woken(selector(2, discount=0.5, hidden=4))
    monkeypatch.setattr(policy.optimizer, "step", lambda: None)
    first, last, keep = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 2.0]]), torch.tensor([True])
    nothing = Step(torch.zeros(0, 2), torch.zeros(0, dtype=torch.bool), 4.0)
    mean = policy.learn([Step(first, keep, 1.0), nothing, Step(last, keep, 2.0)])
    assert mean == pytest.approx(3.5)
    found = [parameter.grad.clone() for parameter in policy.policy.parameters()]
    log_pi = [policy.policy(state).sigmoid().log().squeeze() for state in (first, last)]
    wanted = torch.autograd.grad(-(3.5 * log_pi[0] + 2.0 * log_pi[1]) / 3, list(policy.policy.parameters()))
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_normalised_returns_have_mean_0_and_deviation_1(monkeypatch):
    """Returns 3, 2, 1 (γ = 0) become 1, 0, −1: the middle step teaches nothing."""
    policy = woken(selector(3, discount=0.0, normalise_returns=True))
    monkeypatch.setattr(policy.optimizer, "step", lambda: None)
    one_hot = torch.eye(3)
    keep = torch.tensor([True])
    policy.learn([Step(one_hot[[i]], keep, 3.0 - i) for i in range(3)])
    gradient = policy.policy[0].weight.grad.abs().sum(0)
    assert gradient[1] < 1e-6 < 1e-4 < min(gradient[0], gradient[2])


def test_an_episode_without_neighbours_changes_nothing():
    policy = selector(2)
    before = [parameter.clone() for parameter in policy.policy.parameters()]
    nothing = Step(torch.zeros(0, 2), torch.zeros(0, dtype=torch.bool), 1.0)
    assert policy.learn([]) == 0.0
    # Returns 1.9 and 1.
    assert policy.learn([nothing, nothing]) == pytest.approx(1.45)
    assert all(torch.equal(*pair) for pair in zip(before, policy.policy.parameters(), strict=True))


def episodes(policy, pay, *, count, seed=0):
    """Episodes of five steps over sixteen samples; a sample's one feature is 1 if it is good, −1 if it is bad."""
    draw = torch.Generator().manual_seed(seed)
    for _ in range(count):
        episode = []
        for _ in range(5):
            state = (torch.rand(16, 1, generator=draw) < 0.5).float() * 2 - 1
            keep = policy.decide(policy.probabilities(state))
            good, bad = (((state[:, 0] == kind) & keep).sum().item() / 16 for kind in (1, -1))
            noise = torch.randn(1, generator=draw).item()
            episode.append(Step(state, keep, pay(good, bad, noise)))
        policy.learn(episode)
    return policy.probabilities(torch.tensor([[1.0], [-1.0]])).tolist()


@pytest.mark.parametrize("normalise", [True, False])
def test_pay_teaches_to_keep_the_good_and_drop_the_bad(normalise):
    for seed in range(3):
        policy = selector(seed=seed, learning_rate=0.01, discount=0.0, normalise_returns=normalise)
        good, bad = episodes(policy, lambda good, bad, noise: good - bad + 0.05 * noise, count=150, seed=seed)
        assert good > 0.85
        assert bad < 0.15


def test_pay_that_has_nothing_to_do_with_it_teaches_nothing():
    """Chance moves the policy, but one way with one seed and the other with another."""
    apart = []
    for seed in range(8):
        policy = selector(seed=seed, learning_rate=0.01, discount=0.0, normalise_returns=True)
        good, bad = episodes(policy, lambda _good, _bad, noise: noise, count=100, seed=seed)
        apart.append(good - bad)
    assert min(apart) < 0 < max(apart)
    assert abs(np.mean(apart)) < 0.5


def test_the_same_seed_gives_the_same_policy_and_decisions():
    def run(seed):
        policy = selector(seed=seed, learning_rate=0.01)
        return episodes(policy, lambda good, bad, noise: good - bad, count=5)

    torch.manual_seed(99)
    before = torch.get_rng_state()
    one = run(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    assert run(3) == one != run(4)


def scaled(rewards):
    """In deviations of a normal distribution with this median size, at most two."""
    deviation = sorted(rewards.abs().tolist())[(len(rewards) - 1) // 2] / statistics.NormalDist().inv_cdf(0.75)
    return torch.tensor([max(-2.0, min(2.0, reward / deviation)) for reward in rewards.tolist()])


def test_learning_is_the_natural_gradient_of_eq_15_over_all_actions(monkeypatch):
    """Σ_a P(a) R(a) ∇ log P(a) over all 2⁴ actions, R(a) the rewards of the texts kept less caution · log P(a) / P₀(a).

    By the log odds that is half the gradient of what `learn` minimises, times π(1 − π) and the other way.
    """
    policy = text_selector(3, caution=0.3, initial_keep=0.8, hidden=4)
    for weight in policy.policy.parameters():
        torch.nn.init.normal_(weight, std=0.3, generator=torch.Generator().manual_seed(0))
    features = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    rewards = torch.tensor([1.0, -2.0, 0.5, 3.0])
    keep = policy.probabilities(features)
    logits = keep.logit().double().requires_grad_()
    wanted = torch.zeros(4, dtype=torch.float64)
    for kept in itertools.product([0.0, 1.0], repeat=4):
        action = torch.tensor(kept, dtype=torch.float64)
        log_p = -torch.nn.functional.binary_cross_entropy_with_logits(logits, action, reduction="sum")
        (score,) = torch.autograd.grad(log_p, logits)
        log_p0 = (action * math.log(0.8) + (1 - action) * math.log(0.2)).sum()
        reward = action @ scaled(rewards).double() - 0.3 * (log_p.detach() - log_p0)
        wanted += log_p.exp().item() * reward * score
    found = []
    monkeypatch.setattr(policy.optimizer, "step", lambda: found.append([w.grad.clone() for w in parameters]))
    parameters = list(policy.policy.parameters())
    policy.learn([Step(features, torch.ones(4, dtype=torch.bool), rewards)])
    # The log odds are the perceptron's output by caution; `learn` takes the mean over texts.
    natural = (wanted / (keep * (1 - keep)).double()).float()
    ours = torch.autograd.grad((policy.policy(features).squeeze(1) * natural).sum(), parameters)
    for mine, theirs in zip(ours, found[0], strict=True):
        torch.testing.assert_close(-2 * mine / 4, theirs, rtol=1e-3, atol=1e-4)


def test_the_log_odds_are_the_best_for_the_rewards():
    """Four groups of texts; no other policy has a larger mean π r − caution · KL(π ‖ initial_keep)."""
    policy = text_selector(4, caution=0.25, initial_keep=0.8, learning_rate=0.02)
    groups, worth = torch.eye(4), torch.tensor([1.0, 0.2, -0.3, -1.0])
    step = Step(groups.repeat(10, 1), torch.ones(40, dtype=torch.bool), worth.repeat(10))
    for _ in range(20):
        policy.learn([Step(step.features[:0], step.keep[:0], step.reward[:0])])
        policy.learn([step])

    def objective(keep):
        divergence = keep * (keep / 0.8).log() + (1 - keep) * ((1 - keep) / 0.2).log()
        return keep * scaled(worth) - 0.25 * divergence

    found = policy.probabilities(groups).double()
    grid = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    best = grid[objective(grid[:, None]).argmax(0)]
    torch.testing.assert_close(found, best, rtol=0, atol=0.01)


def environment(policy, *, worth, count=12, noise=1.0, seed=0, upside_down=()):
    """Rewards of 48 texts at a time, mostly noise; a third are harm, which the last of two features tells, with errors.

    The rewards numbered `upside_down` are ten times as large as the others, and of the other sign. Returns the share of
    harm and of the rest that the policy keeps.
    """
    draw = torch.Generator().manual_seed(seed)

    def texts(number):
        harm = torch.rand(number, generator=draw) < 1 / 3
        seen = torch.where(torch.rand(number, generator=draw) < 0.1, ~harm, harm)
        return harm, torch.stack([torch.randn(number, generator=draw), seen.float()], 1)

    for number in range(count):
        harm, features = texts(48)
        pay = torch.where(harm, worth, 0.4) + noise * torch.randn(48, generator=draw)
        pay *= -10.0 if number in upside_down else 1.0
        policy.learn([Step(features, policy.decide(policy.probabilities(features)), 0.001 * pay)])
    harm, features = texts(3000)
    kept = policy.decide(policy.probabilities(features)).float()
    return kept[harm].mean().item(), kept[~harm].mean().item()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_harm_is_dropped_and_the_rest_kept(seed):
    """However small the rewards are, and although each of them says little."""
    harm, rest = environment(text_selector(2, seed), worth=-1.0, seed=seed)
    assert harm < 0.3
    assert rest > 0.8


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_batch_with_large_rewards_does_not_outweigh_the_others(seed):
    harm, rest = environment(text_selector(2, seed), worth=-1.0, seed=seed, upside_down=(3,))
    assert harm < 0.5
    assert rest > 0.8


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_where_nothing_harms_most_is_kept(seed):
    shares = environment(text_selector(2, seed), worth=0.4, seed=seed)
    assert min(shares) > 0.9


def test_the_more_caution_the_nearer_to_the_initial_share():
    moved = [abs(environment(text_selector(2, caution=caution), worth=-1.0)[0] - 0.9) for caution in (0.1, 1.0, 50.0)]
    assert moved[0] > moved[1] + 0.2 > moved[2]
    assert moved[2] < 0.03


def test_rewards_are_remembered_over_a_restart():
    whole, part = text_selector(2), text_selector(2)
    draw = torch.Generator().manual_seed(0)
    steps = [
        Step(torch.randn(5, 2, generator=draw), torch.rand(5) < 0.5, torch.randn(5, generator=draw)) for _ in "abc"
    ]
    for step in steps:
        whole.learn([step])
    part.learn(steps[:1])
    part.learn(steps[1:2])
    again = text_selector(2, seed=7)
    again.load_state_dict({name: tensor.clone() for name, tensor in part.state_dict().items()})
    again.learn(steps[2:])
    probe = torch.randn(50, 2, generator=draw)
    assert torch.equal(again.probabilities(probe), whole.probabilities(probe))
    assert torch.equal(again.decide(torch.full((50,), 0.5)), whole.decide(torch.full((50,), 0.5)))


def test_rewards_that_are_zero_or_none_teach_nothing():
    policy = text_selector(2)
    before = [parameter.clone() for parameter in policy.policy.parameters()]
    assert policy.learn([]) == 0.0
    nothing = Step(torch.zeros(0, 2), torch.zeros(0, dtype=torch.bool), torch.zeros(0))
    assert policy.learn([nothing]) == 0.0
    assert policy.learn([Step(torch.ones(3, 2), torch.tensor([True, False, True]), torch.zeros(3))]) == 0.0
    assert all(torch.equal(*pair) for pair in zip(before, policy.policy.parameters(), strict=True))
