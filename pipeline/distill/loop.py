"""Algorithm 1: the student learns from neighbours that the selector keeps, and its progress rewards the selector."""

from pipeline.distill.run import Distillation
from pipeline.distill.state import Distilled


def distill(run: Distillation) -> Distilled:
    """Algorithm 1 (p. 5): an epoch is an episode, a batch is a step.

    The student is trained in place and ends with the weights of its best epoch. Raises InputError if the loss is NaN.
    """
    for epoch in run.remaining_epochs():
        for rows in run.remaining_batches():
            batch = run.forward(rows)  # Student and teacher on the batch: L_KD of each text (Eqs. 1–3).
            state, keep = run.act(batch)  # Action a ~ π_φ of each neighbour; originals are always kept.
            run.update_student(batch, keep, epoch)  # A gradient step on the mean L_KD of the texts kept.
            run.record(rows, state, keep)  # Reward r_t: the change of the score on D^v (Eq. 13).
        run.keep_if_best(epoch)  # The student with the best score on D^v is the result.
        run.update_policy()  # Returns r(τ) of the episode (Eq. 14), a step of policy gradient (Eq. 15).
        run.next_epoch()
    return run.result()
