"""sentence-transformers' distillation of an embedding model into every third layer of it, with a head on the labels.

The recipe is that of its documentation for fewer layers: the student's embeddings approach the teacher's by their
squared difference, batches of 64, a learning rate of 1e-4 with a warm-up of a tenth of the steps. There it takes one
epoch of millions of texts; here five of a few thousand.
"""

import tempfile
import time
from typing import Any

from datasets import Dataset
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MSELoss
from torch import nn

from benchmarks.peers import logistic, sentence_encoder
from benchmarks.peers.protocol import read, read_task, write_row

EPOCHS = 5


def main() -> None:
    """Distil MPNet on the unlabelled texts, fit the head on the target's labels and write the row."""
    task = read_task()
    labels, validation, unlabelled = (read(task, split) for split in ("train", "validation", "unlabelled"))
    start = time.perf_counter()
    teacher, student = sentence_encoder.load(task, "mpnet"), sentence_encoder.load(task, "mpnet")
    encoder: Any = student[0].auto_model
    encoder.encoder.layer = nn.ModuleList(encoder.encoder.layer[::3])
    encoder.config.num_hidden_layers = len(encoder.encoder.layer)
    texts = unlabelled.texts + labels.texts
    embeddings = teacher.encode(texts, show_progress_bar=False)
    with tempfile.TemporaryDirectory() as scratch:
        settings = SentenceTransformerTrainingArguments(
            output_dir=scratch,
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=64,
            learning_rate=1e-4,
            warmup_steps=0.1,
            seed=task.seed,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        SentenceTransformerTrainer(
            model=student,
            args=settings,
            train_dataset=Dataset.from_dict({"sentence": texts, "label": embeddings.tolist()}),
            loss=MSELoss(student),
        ).train()
    head = logistic.fit(
        student.encode(labels.texts, show_progress_bar=False),
        labels.labels,
        student.encode(validation.texts, show_progress_bar=False),
        validation.labels,
    )
    seconds = time.perf_counter() - start
    write_row(
        task,
        "embedding-distillation",
        lambda texts: list(head.predict(student.encode(texts, show_progress_bar=False))),
        parameters=sentence_encoder.parameters(student) + logistic.weights(head),
        size=sentence_encoder.saved_size(student) + logistic.saved_size(head),
        seconds=seconds,
    )


if __name__ == "__main__":
    main()
