"""A run of Algorithm 1: models, data, optimizer and selector, the steps of the loop, and how far it is."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.compute import distributed
from pipeline.compute.batching import Rows, length_batches
from pipeline.compute.progress import track
from pipeline.distill.dataset import DistillationDataset
from pipeline.distill.losses import DistillationLosses, mean_of_kept
from pipeline.distill.selector import ReinforcedSelector, Step, build_selector, policy_state, reward, state_size
from pipeline.distill.state import Batch, Distilled, Log, LoopState
from pipeline.errors import InputError
from pipeline.evaluation.validation import Score, Validation
from pipeline.params.schema import Distill, Params
from pipeline.training.checkpoint import Checkpoint, Tensors, strip_prefix, with_prefix
from pipeline.training.optimizer import TrainState, adamw, warm_up_and_decay


def count_epochs(texts: int, params: Distill) -> tuple[int, int]:
    """Number of epochs over so many texts, at least `least_steps` long, and of batches in each."""
    batches = math.ceil(texts / params.batch_size)
    return max(params.epochs, math.ceil(params.least_steps / batches), 2 if params.states_first else 1), batches


class Distillation:
    """A run of Algorithm 1: models, data, optimizer, selector, and where it is."""

    def __init__(
        self,
        student: PreTrainedModel,
        teacher_width: int,
        dataset: DistillationDataset,
        validation: Validation,
        params: Params,
        log: Log,
        *,
        projection_and_policy: Tensors | None = None,
        teacher: PreTrainedModel | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        """Start a run, or continue the one that a checkpoint holds.

        Args:
            teacher_width: width of the teacher's hidden states, the output size of W.
            log: called with a step's number and figures by name.
            projection_and_policy: W and the policy of an earlier round; the optimizers start from scratch.
            teacher: the model itself, for losses that read more of it than its cache holds.
            checkpoint: where to continue from, and where to save the state now and then.

        Raises InputError if `projection_and_policy` does not fit.
        """
        torch.manual_seed(params.seed + distributed.rank())
        self.rng = np.random.default_rng(params.seed)
        self.device = distributed.device()
        self.student, self.teacher, self.dataset, self.validation = student, teacher, dataset, validation
        self.params, self.log, self.checkpoint = params, log, checkpoint
        self.losses = DistillationLosses(student, teacher_width, dataset, params)
        student.to(self.device).train()
        self.losses.to(self.device)
        self.epochs, batches = count_epochs(len(dataset), params.distill)
        self.state_epochs = min(math.ceil(round(params.distill.states_first * self.epochs, 6)), self.epochs - 1)
        trained = torch.nn.ModuleList([student, self.losses])
        optimizer = adamw(trained, params.distill)
        schedule = warm_up_and_decay(optimizer, self.epochs * batches, params.distill.warmup)
        self.training = TrainState(trained, optimizer, schedule, "distill.learning_rate")
        outputs, losses = student.config.num_labels, len(params.objectives.active())
        widths = student.config.hidden_size + teacher_width if params.selector.representations else 0
        self.selector = build_selector(state_size(outputs, losses, widths), params.selector, params.seed)
        self.reinforced = isinstance(self.selector, ReinforcedSelector)
        if projection_and_policy:
            _load(self.losses.projection, projection_and_policy, "projection")
            if isinstance(self.selector, ReinforcedSelector):
                _load(self.selector.policy, projection_and_policy, "policy")
        ones = np.ones(len(dataset))
        self.state = LoopState(self.rng.bit_generator.state, ones.astype(np.float32), ones.astype(np.bool_))
        if saved := checkpoint.load() if checkpoint else None:
            self._continue(*saved)
        elif self.reinforced:
            self.state.score = validation.score(student)
        steps = range(self.state.steps, self.epochs * batches)
        self.bar = track(steps, "distill", unit="step", done=self.state.steps)
        self.figures: dict[str, float] = {}

    def _continue(self, tensors: Tensors, values: dict[str, object]) -> None:
        self.state = LoopState.from_tensors(tensors, values)
        self.training.load_state_dict(strip_prefix("training", tensors))
        self.selector.load_state_dict(strip_prefix("selector", tensors))
        for step, figures in self.state.logged:
            self.log(step, figures)

    def remaining_epochs(self) -> range:
        """Epochs from the current one on, counted from 1."""
        return range(self.state.epoch, self.epochs + 1)

    def remaining_batches(self) -> Iterator[Rows]:
        """The epoch's batches of texts of similar length that have not been used yet."""
        self.rng.bit_generator.state = self.state.rng_state
        lengths = self.dataset.encoded.lengths
        yield from length_batches(lengths, size=self.params.distill.batch_size, rng=self.rng)[self.state.batch :]

    def forward(self, rows: Rows) -> Batch:
        """Run student and teacher on this process's rows of a batch."""
        local, counted = distributed.local_rows(range(len(rows)))
        inputs = {name: tensor.to(self.device) for name, tensor in self.dataset.inputs(rows[local]).items()}
        states, losses = self.losses.losses(self.student, self.teacher, rows[local], inputs)
        return Batch(rows, local, counted, states, losses)

    def act(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Let the selector decide.

        Returns its input for the batch's neighbours, (neighbours, features), and which rows to keep, (rows,).
        """
        is_neighbour = torch.from_numpy(self.dataset.is_neighbour[batch.rows])
        state = torch.empty(len(batch.rows), 0)
        if self.reinforced:
            state = distributed.all_gather_rows(self._policy_state(batch)[: batch.counted], len(batch.rows))
        state = state[is_neighbour]
        probabilities = self.selector.probabilities(state)
        keep = torch.ones(len(batch.rows), dtype=torch.bool)
        keep[is_neighbour] = self.selector.decide(probabilities)
        self.state.pi[batch.rows[is_neighbour.numpy()]] = probabilities.numpy()
        self.state.kept[batch.rows] = keep.numpy()
        return state, keep

    def _policy_state(self, batch: Batch) -> torch.Tensor:
        dataset, rows = self.dataset, batch.rows[batch.local]
        representations: list[torch.Tensor] = []
        if self.params.selector.representations:
            teacher_hidden = dataset.cache.hidden(dataset.cache_rows[rows])
            representations = [batch.states.hidden[:, 0].cpu(), teacher_hidden[:, 0].float()]
        return policy_state(
            batch.states.logits.cpu(),
            dataset.teacher_logits(rows),
            dataset.labels[rows],
            dataset.log_p[rows],
            [loss.cpu() for loss in batch.losses.values()],
            regression=self.params.task == "regression",
            representations=representations,
        )

    def update_student(self, batch: Batch, keep: torch.Tensor, epoch: int) -> None:
        """One optimizer step on the weighted losses, averaged over the texts kept; none kept, no step."""
        objectives = self.params.objectives
        counting = objectives.active()
        if self.state_epochs:
            kind = "state" if epoch <= self.state_epochs else "prediction"
            counting = objectives.active(lambda objective: objective.kind == kind)
        weighted = (getattr(objectives, name) * loss for name, loss in batch.losses.items() if name in counting)
        total = sum(weighted, start=torch.zeros(len(batch.local), device=self.device))
        gathered = {
            name: distributed.all_gather_rows(loss.detach()[: batch.counted], len(batch.rows))
            for name, loss in batch.losses.items()
        }
        self.figures = {f"loss/{name}": float(loss.mean()) for name, loss in gathered.items()}
        local_keep = keep[batch.local[: batch.counted]].to(self.device)
        # Without a loss nothing moves but the learning rate.
        self.training.step(mean_of_kept(total, local_keep, int(keep.sum())) if keep.any() else None)
        self.bar.update()

    def record(self, rows: Rows, state: torch.Tensor, keep: torch.Tensor) -> None:
        """Reward the step, log it, and save a checkpoint if it is time."""
        current = self.state
        if self.reinforced:
            score = self.validation.score(self.student) if keep.any() else current.score
            step_reward = reward(current.score, score, self.params.selector.reward)
            neighbours = keep[torch.from_numpy(self.dataset.is_neighbour[rows])]
            current.episode.append(Step(state, neighbours, step_reward))
            current.score = score
            self.figures |= {"reward": step_reward, **_validation_figures(score)}
        current.batch, current.steps = current.batch + 1, current.steps + 1
        self._log()
        if self.checkpoint and self.checkpoint.due:
            tensors, values = current.to_tensors()
            tensors |= with_prefix("training", self.training.state_dict())
            self.checkpoint.save(tensors | with_prefix("selector", self.selector.state_dict()), values)

    def keep_if_best(self, epoch: int) -> None:
        """Score the epoch's student and remember it if none was better. Raises InputError if its loss is NaN."""
        current = self.state
        score = current.score if self.reinforced else self.validation.score(self.student)
        losses = sum(value for name, value in current.logged[-1][1].items() if name.startswith("loss/"))
        self.training.check_finite(score.minus_loss + losses)
        # A student trained on state losses alone has not learnt to predict.
        if epoch > self.state_epochs and score > current.best_score:
            current.best_score, current.best_epoch = score, epoch
            current.best_student = {name: tensor.detach().clone() for name, tensor in self.student.state_dict().items()}
            current.best_projection = _tensors("projection", self.losses.projection)
        # With a policy the last step has logged its score.
        self.figures = {} if self.reinforced else _validation_figures(score)
        self.bar.set_postfix(validation=f"{score.metric:.3f}")

    def update_policy(self) -> None:
        """Let the selector learn from the episode (Eqs. 14, 15)."""
        mean_return = self.selector.learn(self.state.episode)
        if mean_return is not None:
            self.figures["return"] = mean_return

    def next_epoch(self) -> None:
        """Log which neighbours were kept, and begin the next episode."""
        dataset, current = self.dataset, self.state
        for domain in np.unique(dataset.domains[dataset.is_neighbour]):
            rows = dataset.is_neighbour & (dataset.domains == domain)
            self.figures[f"kept/{domain}"] = float(current.kept[rows].mean())
        self._log()
        current.epoch, current.batch, current.episode = current.epoch + 1, 0, []
        current.rng_state = self.rng.bit_generator.state

    def result(self) -> Distilled:
        """The outcome, with the best epoch's weights loaded into the student."""
        self.bar.close()
        state = self.state
        self.student.load_state_dict(state.best_student)
        self.student.eval()
        policy = _tensors("policy", self.selector.policy) if isinstance(self.selector, ReinforcedSelector) else {}
        learned = state.best_projection | policy
        return Distilled(state.best_score, state.best_epoch, self.epochs, state.steps, state.pi, state.kept, learned)

    def _log(self) -> None:
        self.state.logged.append((self.state.steps, self.figures))
        self.log(self.state.steps, self.figures)


def _validation_figures(score: Score) -> dict[str, float]:
    return {"validation/metric": score.metric, "validation/loss": -score.minus_loss}


def _tensors(name: str, module: torch.nn.Module) -> Tensors:
    return {f"{name}.{key}": tensor.detach().cpu().clone() for key, tensor in module.state_dict().items()}


def _load(module: torch.nn.Module, tensors: Tensors, name: str) -> None:
    """Load a module's weights. Raises InputError if they are of another module."""
    weights = {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"--earlier-projection-and-policy: its {name} is missing or of another size; accepted: that of the round "
            "before, with the same student, objectives and selector"
        ) from error
