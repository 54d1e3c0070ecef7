"""Algorithm 1: the student imitates the teacher on neighbours that the selector keeps, and pays the selector."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from pipeline.compute import distributed
from pipeline.compute.batching import length_batches
from pipeline.compute.progress import track
from pipeline.distill.dataset import DistillationDataset
from pipeline.distill.losses import DistillationLosses
from pipeline.distill.selector import RandomSelector, ReinforcedSelector, Step, state_of
from pipeline.distill.state import LoopState
from pipeline.errors import InputError
from pipeline.evaluation.validation import Score, Validation
from pipeline.models.forward import States
from pipeline.params.objectives import PREDICTIONS, STATES
from pipeline.params.schema import Distill, Params
from pipeline.training.checkpoint import Checkpoint, Tensors, strip_prefix, with_prefix
from pipeline.training.optimizer import Training, adamw, warm_up_and_decay

Log = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Distilled:
    """What the loop leaves: the best score and its epoch, and for each row the last π(z) and the last decision.

    The student itself holds the best epoch's weights.
    """

    best: Score
    epoch: int
    epochs: int
    steps: int
    pi: npt.NDArray[np.float32]
    kept: npt.NDArray[np.bool_]
    learner: Tensors
    """What a later round goes on with: `projection.*` of the best epoch and, if there is one, the last `policy.*`."""


def passes(texts: int, fit: Distill) -> tuple[int, int]:
    """How often the loop goes through so many texts, and in how many steps each time."""
    batches = math.ceil(texts / fit.batch_size)
    return max(fit.epochs, math.ceil(fit.least_steps / batches), 2 if fit.states_first else 1), batches


def distill(
    student: PreTrainedModel,
    teacher_width: int,
    lessons: DistillationDataset,
    validation: Validation,
    params: Params,
    log: Log,
    *,
    learner: Tensors | None = None,
    teacher: PreTrainedModel | None = None,
    checkpoint: Checkpoint | None = None,
) -> Distilled:
    """Train the student on the lessons (Algorithm 1, p. 5); an epoch is an episode, a batch a step.

    Args:
        teacher_width: size of the teacher's hidden states, the output size of W.
        log: called with the step's number and figures by name.
        learner: W and the policy as an earlier round left them; the optimizers start anew.
        teacher: itself, for objectives that want more of it than its cache has.
        checkpoint: where to go on from, and to leave the state now and then.

    Returns what came of it; the student is trained in place and ends with the weights of its best epoch. Raises
    InputError if the loss is no longer finite.
    """
    torch.manual_seed(params.seed + distributed.rank())
    order = np.random.default_rng(params.seed)
    place = distributed.device()
    on, fit = params.objectives, params.distill
    reinforced = params.selector.kind == "reinforced"
    imitation = DistillationLosses(student, teacher_width, lessons, params)
    if learner:
        _restore(imitation.projection, learner, "projection")
    student.to(place).train()
    imitation.to(place)
    trained = torch.nn.ModuleList([student, imitation])
    optimizer = adamw(trained, fit)
    epochs, batches = passes(len(lessons), fit)
    states_alone = min(math.ceil(round(fit.states_first * epochs, 6)), epochs - 1)
    steps = epochs * batches
    training = Training(trained, optimizer, warm_up_and_decay(optimizer, steps, fit.warmup))

    selector: RandomSelector | None = None
    ones = np.ones(len(lessons))
    at = LoopState(order.bit_generator.state, ones.astype(np.float32), ones.astype(np.bool_))
    if saved := checkpoint.load() if checkpoint else None:
        at = LoopState.unpacked(*saved)
        training.restore(strip_prefix("training", saved[0]))
        selector = _selector_again(strip_prefix("selector", saved[0]), params)
        for step, figures in at.logged:
            log(step, figures)
    elif reinforced:
        at.before = validation.score(student)
    bar = track(range(at.steps, steps), "distill", unit="step", done=at.steps)
    for epoch in range(at.epoch, epochs + 1):
        counting = on.on() if not states_alone else on.on(STATES if epoch <= states_alone else PREDICTIONS)
        order.bit_generator.state = at.order
        for rows in length_batches(lessons.encoded.lengths, size=fit.batch_size, rng=order)[at.batch :]:
            share, own = distributed.local_rows(range(len(rows)))
            mine = rows[share]
            inputs = {name: tensor.to(place) for name, tensor in lessons.inputs(mine).items()}
            states, losses = imitation.losses(student, teacher, mine, inputs)
            counted = (getattr(on, name) * loss for name, loss in losses.items() if name in counting)
            total = sum(counted, start=torch.zeros(len(mine), device=place))

            keep = torch.ones(len(rows), dtype=torch.bool)
            if params.selector.kind != "none":
                choosable = torch.from_numpy(lessons.neighbour[rows])
                seen = torch.empty(len(rows), 0)
                if reinforced:
                    seen = distributed.all_gather_rows(_state(states, lessons, mine, losses, params)[:own], len(rows))
                state = seen[choosable]
                if selector is None:
                    selector = _selector(state.shape[1], params, learner)
                chances = selector.probabilities(state)
                keep[choosable] = selector.decide(chances)
                at.pi[rows[choosable.numpy()]] = chances.numpy()
                at.kept[rows] = keep.numpy()

            whole = {name: distributed.all_gather_rows(loss.detach()[:own], len(rows)) for name, loss in losses.items()}
            figures = {f"loss/{name}": float(loss.mean()) for name, loss in whole.items()}
            # Where nothing was kept there are no gradients and nothing moves; the learning rate goes on.
            training.step(_mean_of_kept(total, keep[share[:own]].to(place), int(keep.sum())) if keep.any() else None)
            bar.update()
            if reinforced:
                after = validation.score(student) if keep.any() else at.before
                reward = _reward(at.before, after, params)
                at.episode.append(Step(state, keep[choosable], reward))
                at.before = after
                figures |= {"reward": reward, "validation/metric": after.metric, "validation/loss": -after.minus_loss}
            at.batch, at.steps = at.batch + 1, at.steps + 1
            at.logged.append((at.steps, figures))
            log(at.steps, figures)
            if checkpoint and checkpoint.due:
                tensors, facts = at.packed()
                more = with_prefix("selector", selector.state()) if selector else {}
                checkpoint.save(tensors | with_prefix("training", training.state()) | more, facts)

        now = at.before if reinforced else validation.score(student)
        lost = sum(value for name, value in at.logged[-1][1].items() if name.startswith("loss/"))
        if not math.isfinite(now.minus_loss + lost):
            rate = f"distill.learning_rate: got {fit.learning_rate}"
            raise InputError(f"{rate}, with which the loss is no longer a number; accepted: a lower one")
        # A student that has imitated states alone has not learnt to predict.
        if epoch > states_alone and now > at.best:
            at.best, at.best_epoch = now, epoch
            at.best_student = {name: tensor.detach().clone() for name, tensor in student.state_dict().items()}
            at.best_projection = _tensors("projection", imitation.projection)
        # The selector's last step has logged its score.
        figures = {} if reinforced else {"validation/metric": now.metric, "validation/loss": -now.minus_loss}
        if isinstance(selector, ReinforcedSelector):
            figures["return"] = selector.learn(at.episode)
        for domain in np.unique(lessons.domains[lessons.neighbour]):
            figures[f"kept/{domain}"] = float(at.kept[lessons.neighbour & (lessons.domains == domain)].mean())
        at.logged.append((at.steps, figures))
        log(at.steps, figures)
        at.epoch, at.batch, at.order, at.episode = epoch + 1, 0, order.bit_generator.state, []
        bar.set_postfix(validation=f"{now.metric:.3f}")
    bar.close()
    student.load_state_dict(at.best_student)
    student.eval()
    policy = _tensors("policy", selector.policy) if isinstance(selector, ReinforcedSelector) else {}
    return Distilled(at.best, at.best_epoch, epochs, at.steps, at.pi, at.kept, at.best_projection | policy)


def _mean_of_kept(mine: torch.Tensor, keep: torch.Tensor, kept: int) -> torch.Tensor:
    """The mean loss of kept texts, of which `kept` are in all processes' shares: the mean of what these give."""
    if not keep.any():
        return mine.sum() * 0.0
    return mine[keep].mean() * distributed.loss_scale(int(keep.sum()), kept)


def _selector(features: int, params: Params, learner: Tensors | None) -> RandomSelector:
    if params.selector.kind == "random":
        # With the reinforced one's draws it would keep the very neighbours that a policy keeps which has learnt little.
        return RandomSelector(params.selector, params.seed + 1)
    selector = ReinforcedSelector(features, params.selector, params.seed)
    if learner:
        _restore(selector.policy, learner, "policy")
    return selector


def _selector_again(tensors: Tensors, params: Params) -> RandomSelector | None:
    """The selector of a checkpoint; None if it had not been asked yet."""
    if not tensors:
        return None
    features = tensors["policy/0.weight"].shape[1] if params.selector.kind == "reinforced" else 0
    selector = _selector(features, params, None)
    selector.restore(tensors)
    return selector


def _tensors(name: str, module: torch.nn.Module) -> Tensors:
    return {f"{name}.{key}": tensor.detach().cpu().clone() for key, tensor in module.state_dict().items()}


def _restore(module: torch.nn.Module, learner: Tensors, name: str) -> None:
    """Give a module the weights it had. Raises InputError if they are another's."""
    weights = {key.removeprefix(f"{name}."): tensor for key, tensor in learner.items() if key.startswith(f"{name}.")}
    try:
        module.load_state_dict(weights)
    except RuntimeError:
        raise InputError(
            f"--earlier-learner: its {name} is missing or of another size; accepted: that of the round before, "
            "with the same student, objectives and selector"
        ) from None


def _reward(before: Score, after: Score, params: Params) -> float:
    """r_t: what the step did to the student on D^v (Eq. 13, p. 5)."""
    if params.selector.reward == "loss":
        return after.minus_loss - before.minus_loss
    return after.metric - before.metric


def _state(
    states: States,
    lessons: DistillationDataset,
    rows: npt.NDArray[np.int64],
    losses: dict[str, torch.Tensor],
    params: Params,
) -> torch.Tensor:
    representations: list[torch.Tensor] = []
    if params.selector.representations:
        representations = [states.hidden[:, 0].cpu(), lessons.cache.hidden(lessons.cached[rows])[:, 0].float()]
    return state_of(
        states.logits.cpu(),
        lessons.teacher_logits(rows),
        lessons.labels[rows],
        lessons.log_p[rows],
        [loss.cpu() for loss in losses.values()],
        regression=params.task == "regression",
        representations=representations,
    )
