"""The process in nlpaug's environment: an input line requests a pass over the texts, an output line has its time."""

import json
import sys
import time

from nlpaug.augmenter.word import ContextualWordEmbsAug


def main() -> None:
    """Read the model, the texts and the number of words, then do one pass over the texts for every further line."""
    request = json.loads(sys.stdin.readline())
    # Up to aug_max words of each text; aug_min would also be the minimum length of a word.
    augmenter = ContextualWordEmbsAug(
        model_path=request["model"], model_type="bert", aug_min=1, aug_p=1.0, aug_max=request["words"], batch_size=32
    )
    print("seconds 0", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        changed = augmenter.augment(request["texts"])
        seconds = time.perf_counter() - start
        if len(changed) != len(request["texts"]):
            sys.exit("some texts are missing in nlpaug's output")
        print(f"seconds {seconds}", flush=True)


if __name__ == "__main__":
    main()
