"""Timing of models in turns."""

import numpy as np

from pipeline.serving import timing
from pipeline.serving.timing import random_batch, timings


def test_models_take_turns_and_lengths_above_their_maximum_are_left_out(monkeypatch):
    clock, calls = [0.0], []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def model(name, seconds):
        def run(batch):
            calls.append((name, tuple(batch["input_ids"].shape)))
            clock[0] += seconds * batch["input_ids"].size(0)
            return np.zeros((1, 1))

        return run

    batches = dict.fromkeys(("slow", "fast"), lambda texts, tokens: random_batch(50, texts, tokens))
    found = timings({"slow": model("slow", 0.004), "fast": model("fast", 0.001)}, batches, {"slow": 512, "fast": 60})
    assert list(found["slow"]) == ["tokens_16", "tokens_64"]
    assert list(found["fast"]) == ["tokens_16"]
    assert found["slow"]["tokens_64"] == {"median_ms": 4.0, "p95_ms": 4.0, "texts_per_second": 250.0}
    assert found["fast"]["tokens_16"] == {"median_ms": 1.0, "p95_ms": 1.0, "texts_per_second": 1000.0}
    assert [name for name, shape in calls if shape == (1, 16)] == ["slow", "fast"] * (timing.ROUNDS + 1)
