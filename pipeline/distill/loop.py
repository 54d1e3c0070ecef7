"""Algorithm 1: the student learns from neighbours that the selector keeps, and its progress rewards the selector."""

from pipeline.distill.run import Distillation
from pipeline.distill.state import DistillationResult


def distill(run: Distillation) -> DistillationResult:
    """Algorithm 1 (p. 5): a batch is a step, an epoch an episode (with rewards of texts: `selector.every` steps).

    The student is trained in place and ends with the weights of its best epoch. Raises InputError if the loss is not
    finite.
    """
    for _epoch in run.remaining_epochs():
        for rows in run.remaining_batches():
            batch = run.forward(rows)  # Student and teacher on the batch: the losses of each text (Eqs. 2, 3).
            features, keep = run.act(batch)  # Action a ~ π_φ; originals are kept unless it may drop them.
            run.update_student(batch, keep)  # A gradient step on the mean L_KD of the texts kept (Eq. 1).
            run.reward(batch, features, keep)  # Reward r_t: the change on D^v, of the step or text by text (Eq. 13).
            run.update_policy()  # If the episode ends: its returns r(τ) (Eq. 14), policy gradient (Eq. 15).
            run.finish_step()
        run.keep_if_best()  # The student with the lowest loss on D^v is the result.
        run.finish_epoch()
    return run.result()
