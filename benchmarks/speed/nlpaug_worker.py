"""What runs in nlpaug's environment: a line in asks for a pass over the texts, a line out says what it took."""

import json
import sys
import time

from nlpaug.augmenter.word import ContextualWordEmbsAug


def main() -> None:
    """Read the model, the texts and the number of words, then go through the texts at every further line."""
    given = json.loads(sys.stdin.readline())
    # All of a text's words but no more than so many: aug_min would also be the fewest letters of a word.
    augmenter = ContextualWordEmbsAug(
        model_path=given["model"], model_type="bert", aug_min=1, aug_p=1.0, aug_max=given["words"], batch_size=32
    )
    print("seconds 0", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        changed = augmenter.augment(given["texts"])
        seconds = time.perf_counter() - start
        if len(changed) != len(given["texts"]):
            sys.exit("not every text came back")
        print(f"seconds {seconds}", flush=True)


if __name__ == "__main__":
    main()
