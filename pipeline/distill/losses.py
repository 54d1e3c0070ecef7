"""The losses of a batch, text by text (Eqs. 1–3, and those of other methods), and what is trained with the student."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from pipeline.compute import distributed
from pipeline.compute.batching import collate
from pipeline.compute.precision import precision
from pipeline.distill.dataset import DistillationDataset
from pipeline.distill.objectives import bilstm_soft, distilbert, l2a, minilm, pkd, sentence_vectors, tinybert
from pipeline.models.attention import EMPTY, attention_heads
from pipeline.models.forward import States, forward
from pipeline.models.pair_encoder import second_text_mask
from pipeline.params.schema import Params
from pipeline.training.checkpoint import Tensors


class DistillationLosses(torch.nn.Module):
    """The losses that are on, and the modules that are trained with the student: W, and a masked-LM head."""

    def __init__(
        self, student: PreTrainedModel, teacher_width: int, dataset: DistillationDataset, params: Params
    ) -> None:
        """Initialise W as the identity.

        Args:
            teacher_width: width of the teacher's hidden states, the output size of W.
        """
        super().__init__()
        self.projection = torch.nn.Linear(student.config.hidden_size, teacher_width, bias=False)
        torch.nn.init.eye_(self.projection.weight)
        self.masked_lm = None
        if params.objectives.masked_lm:
            self.masked_lm = distilbert.MaskedLM(student, dataset.tokenizer)
        self.dataset, self.params = dataset, params

    def forward(
        self,
        student_model: PreTrainedModel,
        teacher_model: PreTrainedModel | None,
        rows: npt.NDArray[np.int64],
        inputs: Tensors,
        names: Sequence[str] | None = None,
    ) -> tuple[States, Tensors]:
        """Run the student on rows of the dataset and compare it with the teacher.

        Args:
            teacher_model: in evaluation mode; needed if a loss reads more of it than its cache holds.
            inputs: the rows' padded tokens, the student's.
            names: of the losses; by default all that are active.

        Returns the student's states and each loss by name, (texts,), not weighted.
        """
        names = self.params.objectives.active() if names is None else names
        mask = inputs["attention_mask"]
        labels = self.dataset.labels[rows].to(mask.device)
        reads = set(self.params.objectives.reads(names))
        if self.params.selector.reads_states:
            reads.add("hidden")
        with precision(mask.device):
            states = forward(student_model, inputs, reads)
        student, teacher = states, self._teacher_states(student_model, teacher_model, rows, inputs, names)
        second = second_text_mask(inputs["input_ids"], student_model.config) if "vectors" in names else EMPTY
        if self.dataset.alignment is not None:
            student, teacher, mask = self.dataset.alignment.pool(rows, student, teacher)
            if "vectors" in names:
                # A word is in one text or in the other: the mean over its tokens is 0 or 1.
                sides, *_ = self.dataset.alignment.pool(rows, States(states.logits, second[:, :, None]), States())
                second = sides.hidden[:, :, 0].round().long()
        losses = self._by_name(student_model, student, teacher, mask, second, labels, inputs)
        return states, {name: losses[name]() for name in names}

    def of_predictions(self, rows: npt.NDArray[np.int64], logits: torch.Tensor) -> torch.Tensor:
        """The weighted sum of the active losses of predictions alone, given the student's logits: (texts,).

        If there is none, it is L_dark: what the teacher's answers would teach.
        """
        device = logits.device
        teacher = States(logits=self.dataset.teacher_logits(rows).to(device))
        losses = self._by_name(
            None, States(logits=logits), teacher, EMPTY, EMPTY, self.dataset.labels[rows].to(device), {}
        )
        names = self.params.objectives.active(lambda objective: objective.kind == "prediction")
        return self.l_kd({name: losses[name]() for name in names}, names) if names else losses["dark"]()

    def _by_name(
        self,
        student_model: PreTrainedModel | None,
        student: States,
        teacher: States,
        mask: torch.Tensor,
        second: torch.Tensor,
        labels: torch.Tensor,
        inputs: Tensors,
    ) -> dict[str, Callable[[], torch.Tensor]]:
        """The function that computes each loss, by name."""
        objectives, regression = self.params.objectives, self.params.task == "regression"
        return {
            "attention": lambda: l2a.attention_loss(student.attention, teacher.attention, mask),
            "hidden": lambda: l2a.hidden_loss(self.projection(student.hidden), teacher.hidden, mask),
            "dark": lambda: l2a.dark_loss(
                student.logits, teacher.logits, temperature=objectives.temperature, regression=regression
            ),
            "hard": lambda: pkd.hard_loss(student.logits, labels, regression=regression),
            "logits": lambda: bilstm_soft.logits_loss(student.logits, teacher.logits),
            "cosine": lambda: distilbert.cosine_loss(student.hidden, teacher.hidden, mask),
            "vectors": lambda: sentence_vectors.vectors_loss(student.hidden, teacher.hidden, mask, second),
            "masked_lm": lambda: self.masked_lm.loss(student_model, inputs),  # type: ignore[union-attr]
            "patience": lambda: pkd.patience_loss(student.layers, teacher.layers),
            "relations": lambda: minilm.relations_loss(student, teacher, mask),
            "scores": lambda: tinybert.scores_loss(student.scores, teacher.scores, mask),
            "layers": lambda: tinybert.layers_loss(student.layers, teacher.layers, mask, self.projection),
        }

    def l_kd(self, losses: Tensors, names: Collection[str]) -> torch.Tensor:
        """L_KD, the weighted sum of the losses named (Eq. 1, p. 3): (texts,)."""
        device = next(iter(losses.values())).device
        weighted = [getattr(self.params.objectives, name) * loss for name, loss in losses.items() if name in names]
        return sum(weighted, start=torch.zeros(len(next(iter(losses.values()))), device=device))

    @torch.no_grad()
    def _teacher_states(
        self,
        student_model: PreTrainedModel,
        teacher_model: PreTrainedModel | None,
        rows: npt.NDArray[np.int64],
        inputs: Tensors,
        names: Sequence[str],
    ) -> States:
        """The teacher's states from its cache, and what the cache does not hold from the teacher itself."""
        cache, cache_rows = self.dataset.cache, self.dataset.cache_rows[rows]
        device = inputs["input_ids"].device
        states = States()
        live, cached = (self.params.objectives.reads(names, live=runs) for runs in (True, False))
        if teacher_model is not None and live:
            if self.dataset.teacher_encoded is not None:
                inputs = collate(self.dataset.teacher_encoded, rows, device)
            with precision(device):
                states = forward(teacher_model, inputs, live)
        states = replace(states, logits=self.dataset.teacher_logits(rows).to(device))
        if "hidden" in cached:
            states = replace(states, hidden=cache.hidden(cache_rows).to(device))
        if "attention" in cached:
            # The student has as many heads as the teacher: that was checked.
            heads = attention_heads(student_model.config)
            states = replace(states, attention=cache.attention(cache_rows, heads=heads).to(device))
        return states


def mean_of_kept(losses: torch.Tensor, keep: torch.Tensor, kept: int) -> torch.Tensor:
    """Mean loss of the texts kept.

    With several processes each returns a part: the mean of the parts is the mean over the batch.

    Args:
        losses: of the local rows, (local,).
        keep: which of the local rows that count are kept.
        kept: number of rows kept in the whole batch.
    """
    if not keep.any():
        return losses.sum() * 0.0
    return losses[keep].mean() * distributed.loss_scale(int(keep.sum()), kept)
