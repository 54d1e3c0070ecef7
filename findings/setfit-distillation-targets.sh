#!/usr/bin/env bash
#
# SetFit's DistillationTrainer teaches the student that all texts are the same: the target of every pair is 1.
#
# Seen with: setfit 1.2.0, sentence-transformers 6.2.0, transformers 5.23.0, torch 2.13.0.
#
# The trainer pairs unlabelled texts, and the student's cosine similarity of a pair is to approach the teacher's. The
# similarity is looked up as cos_sim_matrix[id_one][id_two]. But the pairs are made by the constructor of
# ContrastiveDistillationDataset's parent class, to which every text has the "label" 0; the numbers of the texts are only
# assigned after it. So each pair looks up cos_sim_matrix[0][0], the similarity of the first text with itself.
#
# Why it matters: the loss falls to 0, nothing is reported, and the student's embeddings of all texts move together, on which
# the head is then trained. Two texts that the teacher holds for opposites become neighbours. What is left of a distilled
# student is what its head can still read from embeddings that were taught to be equal. Until this changes, train the
# student's embeddings with sentence-transformers (CosineSimilarityLoss with similarities of one's own, or MSELoss), and
# only the head with SetFit.
#
# Below, two models of random word vectors, so that no weights are needed. Needs bash, Python 3.11 or newer and a package
# index. Exits with 1 if the behaviour is not seen any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'torch==2.13.0'
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'setfit==1.2.0' 'sentence-transformers==6.2.0' \
  'transformers==5.23.0'
export HF_HOME="$folder/hub" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=critical

cat > look.py <<'EOF2'
import sys
import warnings
from importlib.metadata import version

import torch
from datasets import Dataset, disable_progress_bars
from sentence_transformers import SentenceTransformer, util
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from setfit import DistillationTrainer, SetFitModel, TrainingArguments, logging
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer, models, pre_tokenizers

warnings.simplefilter("ignore")
disable_progress_bars()
logging.set_verbosity_error()
print(*(f"{name} {version(name)}" for name in ("setfit", "sentence-transformers", "transformers")), sep=", ")
words = ["good", "warm", "funny", "bad", "dull", "slow", "film", "plot", "cast"]
labelled = {f"{word} {noun}": int(word in words[3:6]) for word in words[:6] for noun in words[6:]}
texts = list(labelled)


def new_model(seed):
    torch.manual_seed(seed)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["?", *words])}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    body = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=32)], device="cpu")
    return SetFitModel(model_body=body, model_head=LogisticRegression())


def similarities(model):
    vectors = model.model_body.encode(texts)
    return util.cos_sim(vectors, vectors)


teacher, student = new_model(1), new_model(2)
teacher.model_head.fit(teacher.model_body.encode(texts), list(labelled.values()))
settings = TrainingArguments(
    output_dir="out", batch_size=16, num_epochs=20, body_learning_rate=0.03, report_to="none", save_strategy="no",
    show_progress_bar=False,
)
trainer = DistillationTrainer(
    teacher_model=teacher, student_model=student, args=settings, train_dataset=Dataset.from_dict({"text": texts})
)
pairs, _ = trainer.get_dataset(texts, None, settings)
targets = torch.tensor(pairs["label"])
wanted = similarities(teacher)
at = {text: i for i, text in enumerate(texts)}
right = torch.tensor([float(wanted[at[a], at[b]]) for a, b in zip(pairs["sentence_1"], pairs["sentence_2"])])
before = similarities(student).mean()
trainer.train()
after = similarities(student).mean()
print(f"similarities of {len(right)} pairs to the teacher: {right.min():.2f} to {right.max():.2f}")
print(f"targets of these pairs in training: {targets.min():.2f} to {targets.max():.2f}")
print(f"mean similarity of two texts to the teacher: {wanted.mean():.2f}")
print(f"mean similarity of two texts to the student: {before:.2f} before training, {after:.2f} after it")
seen = right.min() < 0.5 and torch.allclose(targets, torch.ones_like(targets), atol=1e-3) and after > 0.9
sys.exit(not seen)
EOF2
if ! venv/bin/python look.py; then
  echo 'not as described any more: see the lines above' >&2
  exit 1
fi
