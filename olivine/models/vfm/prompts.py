"""Prompts as a text encoder takes them: how they are joined, where each stands, and how many fit at once.

Grounding DINO reads one text `[CLS] car . traffic cone . [SEP]`; the score of a box for a prompt is the mean over the
prompt's tokens (its authors' own evaluation on COCO), so that every score belongs to a prompt and none to a phrase
that nobody asked for. Prompts that do not fit into one text are asked in several.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from olivine.errors import UsageError


@dataclass(frozen=True)
class Text:
    """One text: its token ids, and of each of its prompts the index and the places [first, last) of its tokens."""

    ids: list[int]
    prompts: list[int]
    spans: list[tuple[int, int]]
    caption: str


def split_prompts(prompts: list[str], tokenizer: Any, max_tokens: int) -> list[Text]:
    """As few texts as hold all prompts in their order, none longer than `max_tokens`.

    Args:
        prompts: lower-case phrases.
        tokenizer: of BERT, as transformers has it.
        max_tokens: what the text encoder takes.

    Raises:
        UsageError: no prompt at all, one with a word that the tokenizer does not know, or one that is too long.
    """
    if not prompts:
        raise UsageError('the class list has no prompts: give its classes some ("prompts": ["car"]).')
    separator = tokenizer.convert_tokens_to_ids(".")
    texts, start = [], 0
    lengths = [tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts]
    for prompt, ids in zip(prompts, lengths, strict=True):
        _check(prompt, ids, tokenizer, max_tokens)
    while start < len(prompts):
        ids, spans, end = [tokenizer.cls_token_id], [], start
        while end < len(prompts) and len(ids) + len(lengths[end]) + 2 <= max_tokens:
            spans.append((len(ids), len(ids) + len(lengths[end])))
            ids += [*lengths[end], separator]
            end += 1
        chosen = list(range(start, end))
        caption = " . ".join(prompts[start:end]) + " ."
        texts.append(Text([*ids, tokenizer.sep_token_id], chosen, spans, caption))
        start = end
    return texts


def _check(prompt: str, ids: list[int], tokenizer: Any, max_tokens: int) -> None:
    if tokenizer.unk_token_id in ids or not ids:
        raise UsageError(f"the text encoder does not know the prompt {prompt!r}: change it in the class list.")
    if len(ids) + 3 > max_tokens:
        raise UsageError(f"the prompt {prompt!r} has {len(ids)} tokens, the text encoder takes {max_tokens - 3}.")
