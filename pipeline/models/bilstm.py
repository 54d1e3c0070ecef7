"""The student of BiLSTM_SOFT (Tang et al. 2019): one bidirectional LSTM layer over word embeddings.

It is registered with transformers: after `import pipeline.models.bilstm`, `AutoModelForSequenceClassification` opens
its folders.
"""

from typing import Any

import torch
from torch.nn.utils.rnn import pack_padded_sequence
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

MODEL_TYPE = "l2a_bilstm"


class BiLSTMConfig(PreTrainedConfig):  # type: ignore[misc]
    """The config of a BiLSTM student; the defaults are the sizes of the paper's baseline."""

    model_type = MODEL_TYPE

    def __init__(
        self,
        vocab_size: int = 30522,
        embedding_size: int = 300,
        lstm_size: int = 150,
        hidden_size: int = 200,
        dropout: float = 0.1,
        pairs: bool = False,
        pad_token_id: int = 0,
        sep_token_id: int = 102,
        **options: Any,
    ) -> None:
        """Set the sizes.

        Args:
            lstm_size: units of each direction.
            hidden_size: of the layer between the LSTM and the outputs.
            pairs: whether the model reads two texts.
            sep_token_id: the token that ends the first of two texts.
        """
        super().__init__(pad_token_id=pad_token_id, sep_token_id=sep_token_id, **options)
        self.vocab_size = vocab_size
        self.embedding_size = embedding_size
        self.lstm_size = lstm_size
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.pairs = pairs


class BiLSTMForSequenceClassification(PreTrainedModel):  # type: ignore[misc]
    """The final LSTM states of both directions, h, or [h1; h2; |h1−h2|; h1·h2] for a pair; a hidden layer; logits."""

    config_class = BiLSTMConfig
    base_model_prefix = "bilstm"

    def __init__(self, config: BiLSTMConfig) -> None:
        """Build a model with random weights."""
        super().__init__(config)
        self.embeddings = torch.nn.Embedding(config.vocab_size, config.embedding_size, padding_idx=config.pad_token_id)
        self.lstm = torch.nn.LSTM(config.embedding_size, config.lstm_size, batch_first=True, bidirectional=True)
        self.dropout = torch.nn.Dropout(config.dropout)
        self.dense = torch.nn.Linear((8 if config.pairs else 2) * config.lstm_size, config.hidden_size)
        self.classifier = torch.nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def get_input_embeddings(self) -> torch.nn.Embedding:
        """The word embeddings."""
        return self.embeddings

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: torch.Tensor
    ) -> SequenceClassifierOutput:
        """Logits, (texts, labels), of padded texts or pairs, (texts, tokens), and their mask of the same shape."""
        lengths = attention_mask.sum(1)
        if self.config.pairs:
            # The first separator ends the first text: some tokenizers have no token types. The token before the first
            # text, and a second separator before the second text, are left out, so that equal texts give equal states.
            end = (input_ids == self.config.sep_token_id).int().argmax(1)
            doubled = _shift(input_ids, end + 1)[:, 0] == self.config.sep_token_id
            begin = end + 1 + (doubled & (lengths > end + 2))
            first = self._final_states(input_ids[:, 1:], end)
            second = self._final_states(_shift(input_ids, begin), lengths - begin)
            features = torch.cat([first, second, (first - second).abs(), first * second], dim=1)
        else:
            features = self._final_states(input_ids, lengths)
        return SequenceClassifierOutput(logits=self.classifier(self.dropout(self.dense(features).relu())))

    def _final_states(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """The final state of each direction: (texts, 2 × units)."""
        embedded = self.dropout(self.embeddings(tokens))
        if torch.onnx.is_in_onnx_export():
            return self._final_states_onnx(embedded, lengths)
        packed = pack_padded_sequence(embedded, lengths.clamp_min(1).cpu(), batch_first=True, enforce_sorted=False)
        _, (last, _) = self.lstm(packed)
        return torch.cat([last[0], last[1]], dim=1)

    def _final_states_onnx(self, embedded: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """The same with ONNX's LSTM operator, which takes lengths: packed sequences cannot be exported."""
        weights, hidden, *biases = (
            torch.stack([_onnx_gates(getattr(self.lstm, f"{name}_l0{suffix}")) for suffix in ("", "_reverse")])
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        texts, units = embedded.shape[0], self.config.lstm_size
        _, last, _ = torch.onnx.ops.symbolic_multi_out(
            "LSTM",
            (embedded.transpose(0, 1), weights, hidden, torch.cat(biases, dim=1), lengths.clamp_min(1).int()),
            {"hidden_size": units, "direction": "bidirectional"},
            dtypes=(embedded.dtype,) * 3,
            shapes=((embedded.shape[1], 2, texts, units), (2, texts, units), (2, texts, units)),
        )
        return torch.cat([last[0], last[1]], dim=1)


def _onnx_gates(weights: torch.Tensor) -> torch.Tensor:
    """The gates in ONNX's order: input, output, forget, cell."""
    input_gate, forget_gate, cell_gate, output_gate = weights.chunk(4)
    return torch.cat([input_gate, output_gate, forget_gate, cell_gate])


def _shift(tokens: torch.Tensor, begin: torch.Tensor) -> torch.Tensor:
    """The tokens of each row from position `begin[row]` on, filled up with the row's last token."""
    positions = torch.arange(tokens.shape[1], device=tokens.device) + begin[:, None]
    return tokens.gather(1, positions.clamp_max(tokens.shape[1] - 1))


def principal_components(embeddings: torch.Tensor, size: int) -> torch.Tensor:
    """Project word embeddings on their first principal components: (words, width) to (words, size), centred.

    Dimensions after the width are 0.
    """
    centred = embeddings - embeddings.mean(0)
    # Eigenvectors of the (width, width) matrix are cheaper than a singular value decomposition of all words.
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    projected = centred @ vectors.flip(1)[:, :size]
    return torch.nn.functional.pad(projected, (0, size - projected.shape[1]))


AutoConfig.register(MODEL_TYPE, BiLSTMConfig)
AutoModelForSequenceClassification.register(BiLSTMConfig, BiLSTMForSequenceClassification)
