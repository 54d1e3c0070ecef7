"""A classifier of pairs that encodes each text by itself and compares two vectors, as sentence encoders are trained.

It is registered with transformers: after `import pipeline.models.pair_encoder`, `AutoModelForSequenceClassification`
opens its folders. A pair is one row of tokens, as for any classifier, so that batches, caches and losses are the same.
"""

import copy
from typing import Any, ClassVar

import torch
from torch.nn.functional import normalize
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

MODEL_TYPE = "l2a_pairs"
UNSEEN = torch.finfo(torch.bfloat16).min
"""Added to the attention score of a token that is not seen; finite in reduced precision, too."""


class PairEncoderConfig(PreTrainedConfig):  # type: ignore[misc]
    """The config of an encoder of pairs. What it does not have itself is read from that of its encoder."""

    model_type = MODEL_TYPE
    sub_configs: ClassVar[dict[str, Any]] = {"encoder": AutoConfig}

    def __init__(
        self,
        encoder: dict[str, Any] | PreTrainedConfig | None = None,
        pad_token_id: int = 0,
        cls_token_id: int | None = None,
        sep_token_id: int = 102,
        **options: Any,
    ) -> None:
        """Set the encoder.

        Args:
            encoder: its config, also as a dictionary with `model_type`; by default a BERT's.
            cls_token_id: the token that begins each text; None if none does.
            sep_token_id: the token that ends each text.
        """
        given = encoder or {"model_type": "bert"}
        self.encoder = AutoConfig.for_model(**given) if isinstance(given, dict) else given
        super().__init__(pad_token_id=pad_token_id, cls_token_id=cls_token_id, sep_token_id=sep_token_id, **options)

    def __getattr__(self, name: str) -> Any:
        """A setting of the encoder."""
        if name.startswith("_") or "encoder" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.encoder, name)


class PairEncoderForSequenceClassification(PreTrainedModel):  # type: ignore[misc]
    """The means u and v of the last states of either text; a linear layer over their cosine, |u−v| and u·v."""

    config_class = PairEncoderConfig
    base_model_prefix = "encoder"

    def __init__(self, config: PairEncoderConfig) -> None:
        """Build a model with random weights."""
        super().__init__(config)
        self.encoder = AutoModel.from_config(config.encoder)
        # What a pooler makes of the first token, nothing reads.
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = None
        self.classifier = torch.nn.Linear(1 + 2 * config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **options: Any
    ) -> SequenceClassifierOutput:
        """Logits, (texts, labels), of padded pairs, (texts, tokens), and their mask of the same shape.

        A text sees itself alone, and its positions begin anew: its states are those that it has without the other.
        """
        second = second_text_mask(input_ids, self.config)
        apart = second[:, :, None] != second[:, None, :]
        unseen = (apart | (attention_mask[:, None, :] == 0))[:, None]
        begin = second * (1 - second).sum(1, keepdim=True)
        # Families with a padding token in the table of positions begin after it.
        first = getattr(self.encoder.embeddings, "padding_idx", -1) + 1
        # Each text is the first, whatever token types say.
        options.pop("token_type_ids", None)
        outputs = self.encoder(
            input_ids=input_ids,
            attention_mask=torch.zeros_like(unseen, dtype=self.dtype).masked_fill(unseen, UNSEEN),
            position_ids=torch.arange(input_ids.shape[1], device=input_ids.device) - begin + first,
            **options,
        )
        features = _features(outputs.last_hidden_state, attention_mask * (1 - second), attention_mask * second)
        return SequenceClassifierOutput(
            logits=self.classifier(features),
            hidden_states=outputs.get("hidden_states"),
            attentions=outputs.get("attentions"),
        )


def second_text_mask(input_ids: torch.Tensor, config: Any) -> torch.Tensor:
    """1 from the first token of a pair's second text on, else 0: (texts, tokens).

    Args:
        config: a model's; only encoders of pairs read two texts.
    """
    if config.model_type != MODEL_TYPE:
        return torch.zeros_like(input_ids)
    ends = input_ids == config.sep_token_id
    if config.cls_token_id is not None:
        # A text may itself have the token that ends it, written out.
        ends = ends & (input_ids.roll(-1, 1) == config.cls_token_id)
    return (ends.cumsum(1) > ends.int()).int()


def _features(states: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The cosine of the two texts' mean states, |u−v| and u·v: (texts, 1 + 2 × width).

    Args:
        states: (texts, tokens, width).
        first, second: 1 at the tokens of that text, (texts, tokens).
    """
    # Of length √width, so that an entry is about 1.
    size = states.shape[2] ** 0.5
    u, v = (normalize((states * own[:, :, None]).sum(1), dim=1) * size for own in (first, second))
    return torch.cat([(u * v).mean(1, keepdim=True), (u - v).abs(), u * v], dim=1)


def encode_each(model: PreTrainedModel, around: tuple[int | None, int]) -> PreTrainedModel:
    """An encoder of pairs with the encoder of a classifier, its labels, and a head with random weights.

    Args:
        around: the tokens that begin and end each text, as `wrap_each_text` returns them.
    """
    cls_token_id, sep_token_id = around
    encoder = copy.deepcopy(model.config)
    encoder._name_or_path = ""
    # Dropout lowers a cosine: what is learnt of such cosines is wrong for those that are served.
    for name in [name for name, value in vars(encoder).items() if "dropout" in name and isinstance(value, float)]:
        setattr(encoder, name, 0.0)
    pairs = PairEncoderForSequenceClassification(
        PairEncoderConfig(
            encoder=encoder,
            pad_token_id=encoder.pad_token_id,
            cls_token_id=cls_token_id,
            sep_token_id=sep_token_id,
            id2label=encoder.id2label,
            label2id=encoder.label2id,
            problem_type=encoder.problem_type,
        )
    )
    names = pairs.encoder.state_dict().keys()
    pairs.encoder.load_state_dict({name: each for name, each in model.base_model.state_dict().items() if name in names})
    return pairs.eval()


AutoConfig.register(MODEL_TYPE, PairEncoderConfig)
AutoModelForSequenceClassification.register(PairEncoderConfig, PairEncoderForSequenceClassification)
