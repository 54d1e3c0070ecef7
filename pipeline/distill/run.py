"""A run of Algorithm 1: models, data, optimizer and selector, the steps of the loop, and its progress."""

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.compute import distributed
from pipeline.compute.batching import Rows, epoch_batches
from pipeline.compute.progress import track
from pipeline.distill.dataset import DistillationDataset, count_epochs
from pipeline.distill.features import batch_features, feature_count
from pipeline.distill.losses import DistillationLosses, mean_of_kept
from pipeline.distill.selector import ReinforcedSelector, Step, TextSelector, build_selector, reward
from pipeline.distill.state import Batch, DistillationResult, Log, LoopState
from pipeline.distill.text_rewards import moved_logits, prior_logits, text_rewards, validation_gradient
from pipeline.errors import InputError
from pipeline.evaluation.validation import Validation
from pipeline.params.schema import Params
from pipeline.training.checkpoint import Checkpoint, Tensors, strip_prefix, with_prefix
from pipeline.training.optimizer import TrainState, adamw, warm_up_and_decay


class Distillation:
    """A run of Algorithm 1."""

    def __init__(
        self,
        student: PreTrainedModel,
        teacher_width: int,
        dataset: DistillationDataset,
        validation: Validation,
        params: Params,
        log: Log,
        *,
        earlier: Tensors | None = None,
        teacher: PreTrainedModel | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        """Start a run, or continue the one that a checkpoint holds.

        Args:
            teacher_width: width of the teacher's hidden states, the output size of W.
            log: called with a step's number and metrics by name.
            earlier: W and the policy of the previous round, to continue from; the optimizers start from scratch.
            teacher: the model itself, for losses that read more of it than its cache holds.
            checkpoint: where to continue from, and where to save the state now and then.

        Raises InputError if `earlier` does not fit.
        """
        torch.manual_seed(params.seed + distributed.rank())
        self.rng = np.random.default_rng(params.seed)
        self.device = distributed.device()
        self.student, self.teacher, self.dataset, self.validation = student, teacher, dataset, validation
        self.params, self.log, self.checkpoint = params, log, checkpoint
        self.losses = DistillationLosses(student, teacher_width, dataset, params)
        student.to(self.device).train(params.distill.dropout)
        self.losses.to(self.device)
        self.epochs, self.batches = count_epochs(len(dataset), params.distill)
        # Rounded, because 0.28 × 25 is a little more than 7.
        state_epochs = math.ceil(round(params.distill.states_first * self.epochs, 6))
        self.state_epochs = min(state_epochs, self.epochs - 1)
        trained = torch.nn.ModuleList([student, self.losses])
        optimizer = adamw(trained, params.distill)
        schedule = warm_up_and_decay(optimizer, self.epochs * self.batches, params.distill.warmup)
        self.training = TrainState(trained, optimizer, schedule, "distill.learning_rate")
        widths = student.config.hidden_size + teacher_width if params.selector.reads_states else 0
        features = feature_count(student.config.num_labels, len(params.objectives.active()), widths)
        self.selector = build_selector(features, params.selector, params.seed, decides=bool(dataset.droppable.any()))
        self.rewards_texts = isinstance(self.selector, TextSelector)
        self.rewards_steps = isinstance(self.selector, ReinforcedSelector) and not self.rewards_texts
        if earlier:
            _load(self.losses.projection, earlier, "projection")
            if isinstance(self.selector, ReinforcedSelector):
                _load(self.selector.policy, earlier, "policy")
        ones = np.ones(len(dataset))
        self.state = LoopState(self.rng.bit_generator.state, ones.astype(np.float32), ones.astype(np.bool_))
        if saved := checkpoint.load() if checkpoint else None:
            self._continue(*saved)
        elif self.rewards_steps:
            self.state.score = validation.score(student)
        steps = range(self.state.steps, self.epochs * self.batches)
        self.bar = track(steps, "distill", unit="step", done=self.state.steps)
        self.metrics: dict[str, float] = {}

    def _continue(self, tensors: Tensors, values: dict[str, object]) -> None:
        self.state = LoopState.from_tensors(tensors, values)
        self.training.load_state_dict(strip_prefix("training", tensors))
        self.selector.load_state_dict(strip_prefix("selector", tensors))
        for step, metrics in self.state.logged:
            self.log(step, metrics)

    def remaining_epochs(self) -> range:
        """Epochs from the current one on, counted from 1."""
        return range(self.state.epoch, self.epochs + 1)

    def remaining_batches(self) -> Iterator[Rows]:
        """The epoch's batches of texts of similar length that have not been used yet."""
        self.rng.bit_generator.state = self.state.rng_state
        lengths = self.dataset.encoded.lengths
        yield from epoch_batches(lengths, size=self.params.distill.batch_size, rng=self.rng)[self.state.batch :]

    def forward(self, rows: Rows) -> Batch:
        """Run student and teacher on this process's rows of a batch."""
        local, num_real = distributed.local_rows(range(len(rows)))
        inputs = self.dataset.inputs(rows[local], self.device)
        # A policy sees all losses.
        names = None if isinstance(self.selector, ReinforcedSelector) else self._trained_on()
        states, losses = self.losses(self.student, self.teacher, rows[local], inputs, names)
        return Batch(rows, local, num_real, states, losses)

    def act(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Let the selector decide.

        Returns what it saw of the rows that it may drop, (droppable, features), and which rows of all to keep, (rows,).
        """
        droppable = torch.from_numpy(self.dataset.droppable[batch.rows])
        features = torch.empty(len(batch.rows), 0)
        if isinstance(self.selector, ReinforcedSelector):
            local = batch_features(self.dataset, batch, self.params)[: batch.num_real]
            features = distributed.all_gather_rows(local, len(batch.rows))
        features = features[droppable]
        probabilities = self.selector.probabilities(features)
        keep = torch.ones(len(batch.rows), dtype=torch.bool)
        keep[droppable] = self.selector.decide(probabilities)
        self.state.pi[batch.rows[droppable.numpy()]] = probabilities.numpy()
        self.state.kept[batch.rows] = keep.numpy()
        return features, keep

    def update_student(self, batch: Batch, keep: torch.Tensor) -> None:
        """One optimizer step on the mean L_KD of the texts kept; none kept, no step."""
        total = self.losses.l_kd(batch.losses, self._trained_on())
        local_keep = keep[batch.local[: batch.num_real]].to(self.device)
        # Without a loss nothing moves but the learning rate.
        self.training.step(mean_of_kept(total, local_keep, int(keep.sum())) if keep.any() else None)
        self.metrics = {}
        for name, loss in batch.losses.items():
            gathered = distributed.all_gather_rows(loss.detach()[: batch.num_real], len(batch.rows))
            self.metrics[f"loss/{name}"] = float(gathered.mean())

    def _trained_on(self) -> list[str]:
        """The losses of the current epoch: all, or with `states_first` those of states, then those of predictions."""
        objectives = self.params.objectives
        if not self.state_epochs:
            return objectives.active()
        kind = "state" if self.state.epoch <= self.state_epochs else "prediction"
        return objectives.active(lambda objective: objective.kind == kind)

    def reward(self, batch: Batch, features: torch.Tensor, keep: torch.Tensor) -> None:
        """Add the reward of the step, or every so often those of its droppable texts, to the episode of a policy."""
        droppable = torch.from_numpy(self.dataset.droppable[batch.rows])
        if self.rewards_texts and self._episode_ends():
            prior = prior_logits(self.validation.texts)
            gradient, score = validation_gradient(self.student, self.validation, prior)
            inputs = self.dataset.inputs(batch.rows[batch.local], self.device)
            local = moved_logits(self.student, inputs, gradient)[: batch.num_real]
            moved = distributed.all_gather_rows(local.cpu(), len(batch.rows))
            rewards = text_rewards(moved, partial(self.losses.of_predictions, batch.rows), gradient, prior)
            # On accelerators processes may round differently, and their policies must not part.
            rewards = torch.tensor(distributed.broadcast_floats(rewards[droppable].tolist()))
            self.state.episode.append(Step(features, keep[droppable], rewards))
            self.metrics |= score.curves()
        elif self.rewards_steps:
            # A step that kept nothing has not changed the student.
            score = self.validation.score(self.student) if keep.any() else self.state.score
            step_reward = reward(self.state.score, score, "loss" if self.params.selector.reward == "loss" else "metric")
            self.state.episode.append(Step(features, keep[droppable], step_reward))
            self.state.score = score
            self.metrics |= {"reward": step_reward, **score.curves()}

    def _episode_ends(self) -> bool:
        """Whether this step is an episode's last: an epoch's, or with rewards of texts every `selector.every`-th."""
        if self.rewards_texts:
            return (self.state.steps + 1) % self.params.selector.every == 0
        return self.state.batch + 1 == self.batches

    def update_policy(self) -> None:
        """At the end of an episode, let the selector learn from it (Eqs. 14, 15)."""
        if not self._episode_ends():
            return
        mean = self.selector.learn(self.state.episode)
        if mean is not None:
            self.metrics["reward" if self.rewards_texts else "return"] = mean
        self.state.episode = []

    def finish_step(self) -> None:
        """Count the step, log it, and save a checkpoint if it is time."""
        self.state.batch, self.state.steps = self.state.batch + 1, self.state.steps + 1
        self.bar.update()
        self._log()
        if self.checkpoint and self.checkpoint.due:
            tensors, values = self.state.to_tensors()
            tensors |= with_prefix("training", self.training.state_dict())
            self.checkpoint.save(tensors | with_prefix("selector", self.selector.state_dict()), values)

    def keep_if_best(self) -> None:
        """Remember the student if its loss on D^v is the lowest so far. Raises InputError if that is not finite."""
        state = self.state
        score = state.score if self.rewards_steps else self.validation.score(self.student)
        losses = sum(value for name, value in state.logged[-1][1].items() if name.startswith("loss/"))
        self.training.check_finite(score.minus_loss + losses)
        # By the loss: of a hundred texts any metric is coarse, and would often take a student from before the decay.
        if state.epoch > self.state_epochs and score.minus_loss > state.best_score.minus_loss:
            state.best_score, state.best_epoch = score, state.epoch
            state.best_student = {name: tensor.detach().clone() for name, tensor in self.student.state_dict().items()}
            state.best_projection = _tensors("projection", self.losses.projection)
        # With rewards of steps the score was logged with the last one.
        self.metrics = {} if self.rewards_steps else score.curves()
        self.bar.set_postfix(validation=f"{score.metric:.3f}")

    def finish_epoch(self) -> None:
        """Log what share of the droppable rows was kept, and begin the next epoch."""
        state = self.state
        for domain, rows in self.dataset.droppable_by_domain().items():
            self.metrics[f"kept/{domain}"] = float(state.kept[rows].mean())
        self._log()
        state.epoch, state.batch = state.epoch + 1, 0
        state.rng_state = self.rng.bit_generator.state

    def result(self) -> DistillationResult:
        """The outcome, with the best epoch's weights loaded into the student."""
        self.bar.close()
        state = self.state
        self.student.eval().load_state_dict(state.best_student)
        policy = _tensors("policy", self.selector.policy) if isinstance(self.selector, ReinforcedSelector) else {}
        best = state.best_score, state.best_epoch
        return DistillationResult(*best, self.epochs, state.steps, state.pi, state.kept, state.best_projection | policy)

    def _log(self) -> None:
        self.state.logged.append((self.state.steps, self.metrics))
        self.log(self.state.steps, self.metrics)


def _tensors(name: str, module: torch.nn.Module) -> Tensors:
    return {f"{name}.{key}": tensor.detach().cpu().clone() for key, tensor in module.state_dict().items()}


def _load(module: torch.nn.Module, tensors: Tensors, name: str) -> None:
    """Load a module's weights. Raises InputError if they are of another module."""
    weights = {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"projection_and_policy.safetensors of the previous round: its {name} is missing or has another size; "
            "run that round's distill stage again with the same student, objectives and selector"
        ) from error
