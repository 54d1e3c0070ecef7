"""What the selector costs: state, policy and the validation reward after every step.

python -m benchmarks.speed.selector
"""

import statistics

from benchmarks.one_line import one_line
from benchmarks.speed import operations
from benchmarks.speed.loop import default_lessons, default_student, default_validation, steps, without_selector
from benchmarks.speed.made import params
from benchmarks.speed.measure import Figure, publish, rate, side_by_side, timed

STEPS = 20


def main() -> None:
    """Measure the default's loop with and without it."""
    given = params()
    without = without_selector(given)
    lessons, validation, student = default_lessons(given), default_validation(given), default_student(given)
    width = student.config.hidden_size
    seconds = side_by_side(
        {
            "reinforced": lambda: steps(STEPS, student, width, lessons, validation, given),
            "none": lambda: steps(STEPS, student, width, lessons, validation, without),
            "reward": timed(lambda: [validation.score(student.train()) for _ in range(STEPS)]),
        }
    )
    texts = [length for batch in validation.prepared.batches for length in batch["attention_mask"].sum(1).tolist()]
    rewarded = operations.answers(student.config, texts)
    learnt = 3 * operations.classifier(student.config, lessons.encoded.lengths.tolist()) / len(lessons)
    bound = rewarded / (rewarded + learnt * given.distill.batch_size)
    price = [1 - b / a for a, b in zip(seconds["reinforced"], seconds["none"], strict=True)]
    paid = [b / a for a, b in zip(seconds["reinforced"], seconds["reward"], strict=True)]
    publish(
        "selector",
        [
            Figure("steps with the selector", rate(seconds, "reinforced", STEPS), "a second"),
            Figure("steps without", rate(seconds, "none", STEPS), "a second"),
            Figure("the selector's part of a step", 100 * statistics.median(price), "%", 25, at_most=True),
            Figure("the reward's part of a step's operations, backward passes twice a forward one", 100 * bound, "%"),
            Figure("of that step, the reward: a pass over the validation texts", 100 * statistics.median(paid), "%"),
        ],
    )


if __name__ == "__main__":
    with one_line():
        main()
