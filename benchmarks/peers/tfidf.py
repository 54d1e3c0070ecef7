"""TF-IDF of words and pairs of words, logistic regression: on the target's labels, on the source's, on both."""

import json
import re
import time

from sklearn.feature_extraction.text import TfidfVectorizer

from benchmarks.peers import logistic
from benchmarks.peers.protocol import Task, Texts, read, read_task, write_row

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|<br\s*/?>|\n")


def sentences(reviews: Texts) -> Texts:
    """Every sentence of the texts, of three words or more, with the label of its text."""
    pairs = [
        (piece.strip(), label)
        for text, label in zip(reviews.texts, reviews.labels, strict=True)
        for piece in _SENTENCE_END.split(text)
        if len(piece.split()) >= 3
    ]
    return Texts([text for text, _ in pairs], [label for _, label in pairs])


def measure(task: Task, row: str, texts: Texts, validation: Texts) -> None:
    """Fit on labelled texts and write the row."""
    start = time.perf_counter()
    vectorizer = TfidfVectorizer(ngram_range=(1, 2))
    features = vectorizer.fit_transform(texts.texts)
    head = logistic.fit(features, texts.labels, vectorizer.transform(validation.texts), validation.labels)
    seconds = time.perf_counter() - start
    # The vocabulary as JSON, and a weight of each n-gram in float32.
    vocabulary = {ngram: int(column) for ngram, column in vectorizer.vocabulary_.items()}
    size = len(json.dumps(vocabulary).encode()) + 4 * len(vocabulary) + logistic.saved_size(head)
    write_row(
        task,
        row,
        lambda texts: list(head.predict(vectorizer.transform(texts))),
        parameters=logistic.weights(head) + len(vocabulary),
        size=size,
        seconds=seconds,
    )


def main() -> None:
    """Measure every choice of training texts."""
    task = read_task()
    labels, validation = read(task, "train"), read(task, "validation")
    # The source's rows as they were; source.parquet may hold their sentences.
    reviews = read(task, "teacher_source")
    if not reviews.texts:
        reviews = read(task, "source")
    measure(task, "tfidf-labels", labels, validation)
    if not reviews.fits(labels):
        print("tfidf: the source has no texts, or other classes: its rows are left out")
        return
    for name, source in (("reviews", reviews), ("sentences", sentences(reviews))):
        measure(task, f"tfidf-source-{name}", source, validation)
        measure(task, f"tfidf-both-{name}", source + labels, validation)


if __name__ == "__main__":
    main()
