"""Which peers there are: the script and requirements of each, what it needs, and its rows in the table."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import InputError


@dataclass(frozen=True)
class Peer:
    """One script with its arguments, which measures one row or several.

    Args:
        script: module in this folder.
        requirements: file in `requirements/`; peers with the same file share an environment.
        rows: what each row is, by its name.
        model: the embedding model that the script uses, if it works with either.
        unlabelled: whether it can do nothing without unlabelled texts.
        teacher: whether it distils from this project's teacher.
    """

    script: str
    requirements: str
    rows: Mapping[str, str]
    model: str = "minilm"
    unlabelled: bool = False
    teacher: bool = False


PEERS = {
    "tfidf": Peer(
        "tfidf",
        "tfidf",
        {
            "tfidf-labels": "TF-IDF, logistic regression: target labels",
            "tfidf-source-reviews": "TF-IDF, logistic regression: source texts",
            "tfidf-both-reviews": "TF-IDF, logistic regression: source texts and target labels",
            "tfidf-source-sentences": "TF-IDF, logistic regression: sentences of the source",
            "tfidf-both-sentences": "TF-IDF, logistic regression: sentences of the source and target labels",
        },
    ),
    "minilm": Peer(
        "frozen_embeddings",
        "setfit",
        {
            "minilm-labels": "frozen MiniLM, logistic regression: target labels",
            "minilm-both": "frozen MiniLM, logistic regression: source and target labels",
        },
    ),
    "mpnet": Peer(
        "frozen_embeddings",
        "setfit",
        {
            "mpnet-labels": "frozen MPNet, logistic regression: target labels",
            "mpnet-both": "frozen MPNet, logistic regression: source and target labels",
        },
        model="mpnet",
    ),
    "setfit-minilm": Peer("setfit", "setfit", {"setfit-minilm": "SetFit, MiniLM: target labels"}),
    "setfit-mpnet": Peer(
        "setfit",
        "setfit",
        {
            "setfit-mpnet": "SetFit, MPNet: target labels",
            "setfit-distilled": "SetFit's distillation of the row above into MiniLM: unlabelled texts",
        },
        model="mpnet",
    ),
    "embedding-distillation": Peer(
        "embedding_distillation",
        "setfit",
        {"embedding-distillation": "sentence-transformers: MPNet distilled into 4 of its layers, logistic regression"},
        model="mpnet",
        unlabelled=True,
    ),
    "textbrewer": Peer(
        "textbrewer",
        "textbrewer",
        {"textbrewer": "TextBrewer: this project's teacher distilled into 3 layers of MiniLM"},
        unlabelled=True,
        teacher=True,
    ),
}
"""Peers by name, in the order of the table."""


def chosen(names: str) -> dict[str, Peer]:
    """The peers of a list of names with commas, all if it is empty. Raises InputError for one that does not exist."""
    asked = [name.strip() for name in names.split(",") if name.strip()]
    for name in asked:
        if name not in PEERS:
            raise InputError(f"--only: got {name}; accepted: {', '.join(PEERS)}")
    return {name: peer for name, peer in PEERS.items() if not asked or name in asked}
