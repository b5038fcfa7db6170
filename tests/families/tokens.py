"""A small tokenizer with the tokens that a family's processor looks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

_CORPUS = (
    "What moves in the video, and what in the image? Are the two the same? Is it there?",
    "You are given frames from a video: Frame 1 2 3 4 5 6 7 8 seconds Time from sampled at 00:01 user assistant",
)


def tokenizer(
    template: str, *, start: str = "<s>", end: str = "</s>", named: Mapping[str, str], other: Iterable[str] = ()
) -> PreTrainedTokenizerFast:
    """Byte-level BPE, trained on a few words, always to the same pieces.

    Args:
        template: the chat template.
        start: the token that opens a text; none where it is empty.
        end: the token that ends an answer, and that fills up.
        named: tokens that have names, such as image_token; the processor reads them off the tokenizer.
        other: further special tokens.
    """
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    pieces.train_from_iterator(_CORPUS, trainer)
    tokens = dict.fromkeys((start, end, *named.values(), *other))
    pieces.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens if token])
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        bos_token=start or None,
        eos_token=end,
        pad_token=end,
        clean_up_tokenization_spaces=False,
        chat_template=template,
        extra_special_tokens=dict(named),
    )
