"""Prompts as texts: every one is asked once, whole, and its tokens are known."""

from __future__ import annotations

import pytest
from foundation import WORDS, write_tokenizer

from olivine.errors import DataError, UsageError
from olivine.models.vfm.prompts import split_prompts


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return transformers.BertTokenizerFast.from_pretrained(str(folder), local_files_only=True)


PROMPTS = ["car", "traffic cone", "construction vehicle", "road", "other ground", "person"]


@pytest.mark.parametrize("max_tokens", [5, 6, 9, 12, 256])
def test_every_prompt_is_asked_once_and_none_is_cut(tokenizer, max_tokens):
    texts = split_prompts(PROMPTS, tokenizer, max_tokens)
    assert [prompt for text in texts for prompt in text.prompts] == list(range(len(PROMPTS)))
    assert all(len(text.ids) <= max_tokens for text in texts)
    for text in texts:
        for prompt, (first, last) in zip(text.prompts, text.spans, strict=True):
            assert tokenizer.decode(text.ids[first:last]) == PROMPTS[prompt]
        # What the authors' own code makes of the caption.
        assert tokenizer(text.caption)["input_ids"] == text.ids
    assert len(texts) == {5: 6, 6: 6, 9: 3, 12: 2, 256: 1}[max_tokens]


def test_many_prompts_are_split(tokenizer):
    texts = split_prompts(WORDS * 20, tokenizer, 256)
    assert len(texts) > 1
    assert sum(len(text.prompts) for text in texts) == len(WORDS) * 20


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([], "the class list has no prompts"),
        (["tram"], "does not know the prompt 'tram'"),
        (["traffic tram"], "does not know the prompt 'traffic tram'"),
        (["car car car car car car car"], "has 7 tokens, the text encoder takes 6"),
    ],
)
def test_what_cannot_be_asked_is_said(tokenizer, prompts, message):
    with pytest.raises(UsageError, match=message):
        split_prompts(prompts, tokenizer, 9)


def test_a_tokenizer_with_other_ids_is_refused(tmp_path):
    """transformers' class would take all prompts for one phrase, and say nothing."""
    transformers_network = pytest.importorskip("olivine.models.vfm.grounding_dino_transformers")
    import torch

    (tmp_path / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", *WORDS]) + "\n"
    )
    with pytest.raises(DataError, match=r"the tokenizer of another model.*'\[CLS\]': 2"):
        transformers_network.load(tmp_path, torch.device("cpu"))
