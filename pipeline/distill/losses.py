"""What the student is held against: each objective that is on, text by text, and what is trained along with it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from pipeline.distill.dataset import DistillationDataset
from pipeline.distill.objectives.bilstm_soft import logits_loss
from pipeline.distill.objectives.distilbert import MaskedLM, cosine_loss
from pipeline.distill.objectives.l2a import attention_loss, dark_loss, hidden_loss
from pipeline.distill.objectives.minilm import relations_loss
from pipeline.distill.objectives.pkd import hard_loss, patience_loss
from pipeline.distill.objectives.tinybert import layers_loss, scores_loss
from pipeline.models.forward import States, forward
from pipeline.params.schema import Params
from pipeline.training.checkpoint import Tensors


class DistillationLosses(torch.nn.Module):
    """The objectives of `params`, and the weights that learn with the student: W, and a masked-LM head if one is on."""

    def __init__(
        self, student: PreTrainedModel, teacher_width: int, lessons: DistillationDataset, params: Params
    ) -> None:
        """Start with W as the identity.

        Args:
            teacher_width: of the teacher's hidden states, the output size of W.
        """
        super().__init__()
        self.projection = torch.nn.Linear(student.config.hidden_size, teacher_width, bias=False)
        torch.nn.init.eye_(self.projection.weight)
        on = params.objectives
        self.masked_lm = MaskedLM(student, lessons.tokenizer, params.seed) if on.masked_lm else None
        self.lessons, self.params = lessons, params

    def losses(
        self,
        student: PreTrainedModel,
        teacher: PreTrainedModel | None,
        rows: npt.NDArray[np.int64],
        inputs: Tensors,
    ) -> tuple[States, Tensors]:
        """What the student makes of a batch of lessons, and the losses that are on, by name.

        Args:
            teacher: itself, in evaluation mode, if an objective wants more of it than its cache has.
            inputs: the rows' padded tokens.

        Returns the student's states and the losses, each (texts,), not weighted.
        """
        on, regression = self.params.objectives, self.params.task == "regression"
        mask = inputs["attention_mask"]
        ours = forward(
            student,
            inputs,
            hidden=bool(on.hidden or on.cosine or self.params.selector.representations),
            attention=bool(on.attention or on.relations),
            values=bool(on.relations),
            layers=bool(on.layers or on.patience),
            scores=bool(on.scores),
        )
        theirs = self._taught(student, teacher, rows, inputs)
        ways: dict[str, Callable[[], torch.Tensor]] = {
            "attention": lambda: attention_loss(ours.attention, theirs.attention, mask),
            "hidden": lambda: hidden_loss(self.projection(ours.hidden), theirs.hidden, mask),
            "dark": lambda: dark_loss(ours.logits, theirs.logits, temperature=on.temperature, regression=regression),
            "hard": lambda: hard_loss(ours.logits, self.lessons.labels[rows].to(mask.device), regression=regression),
            "logits": lambda: logits_loss(ours.logits, theirs.logits),
            "cosine": lambda: cosine_loss(ours.hidden, theirs.hidden, mask),
            "masked_lm": lambda: self.masked_lm.loss(student, inputs),  # type: ignore[union-attr]
            "patience": lambda: patience_loss(ours.layers, theirs.layers),
            "relations": lambda: relations_loss(ours, theirs, mask),
            "scores": lambda: scores_loss(ours.scores, theirs.scores, mask),
            "layers": lambda: layers_loss(ours.layers, theirs.layers, mask, self.projection),
        }
        return ours, {name: way() for name, way in ways.items() if getattr(on, name)}

    @torch.no_grad()
    def _taught(
        self,
        student: PreTrainedModel,
        teacher: PreTrainedModel | None,
        rows: npt.NDArray[np.int64],
        inputs: Tensors,
    ) -> States:
        """What the teacher says and thinks: from its cache, and what the cache lacks from itself."""
        on, cache, cached = self.params.objectives, self.lessons.cache, self.lessons.cached[rows]
        place = inputs["input_ids"].device
        states = States()
        if teacher is not None:
            states = forward(
                teacher,
                inputs,
                attention=bool(on.relations),
                values=bool(on.relations),
                layers=bool(on.layers or on.patience),
                scores=bool(on.scores),
            )
        states = replace(states, logits=torch.from_numpy(cache.logits[cached]).to(place))
        if on.hidden or on.cosine:
            states = replace(states, hidden=cache.hidden(cached).to(place))
        if on.attention:
            # As many heads as the student has: that was checked.
            states = replace(
                states, attention=cache.attention(cached, heads=student.config.num_attention_heads).to(place)
            )
        return states
