"""The loop over a training run's batches: resumed from a checkpoint, with a progress bar, checkpoints when due."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from pipeline.compute.progress import track
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.optimizer import TrainState

T = TypeVar("T")


def remaining_batches(
    state: TrainState, batches: Iterable[T], *, steps: int, description: str, checkpoint: Checkpoint | None
) -> Iterator[T]:
    """Yield the batches that are still to be trained on; the caller takes one `state.step` with each.

    Args:
        batches: all batches of the run, the same at every start. A resumed run draws the batches that it has already
            trained on once more and skips them. This brings their random number generator into the right state.
        steps: number of batches to train on in all; `batches` may be endless.
        description: label of the progress bar.
        checkpoint: restored before the first batch, written after a step when due.

    Raises InputError if the weights are not finite in the end.
    """
    done = 0
    if saved := checkpoint.load() if checkpoint else None:
        state.load_state_dict(saved[0])
        done = saved[1]["steps"]
    bar = track(range(done, steps), description, unit="step", done=done)
    for step, batch in zip(bar, islice(batches, done, None), strict=False):
        yield batch
        if step % 20 == 0:
            bar.set_postfix(loss=f"{state.loss:.3f}")
        if checkpoint and checkpoint.due:
            checkpoint.save(state.state_dict(), {"steps": step + 1})
    # The last step's loss is from before its update.
    state.check_finite(sum(float(weight.detach().sum()) for weight in state.model.parameters() if weight.requires_grad))
