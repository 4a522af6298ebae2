"""Colours from a model that answers questions about pictures: the paper's way, with ViLT.

It may recognise a white car in the shade, which pixels alone cannot; the user must supply its weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ....errors import InputError
from ..attrod import COLOUR_WORDS, COLOURS

DEFAULT_MODEL = "dandelin/vilt-b32-finetuned-vqa"

Ask = Callable[[Image.Image, str], str]
"""Takes a picture and a question, gives the answer as a person would say it."""


@dataclass(frozen=True)
class VqaColours:
    """Asks `ask` for the colour of what is in the object's box, and puts the answer into a group.

    `name` must say which model answers: colours are kept under it.
    """

    ask: Ask
    name: str

    @classmethod
    def of_model(cls, model: str = DEFAULT_MODEL) -> VqaColours:
        """By a ViLT of `transformers`, from a folder or its cache; nothing is fetched.

        Raises `InputError` when transformers or the model is not there.
        """
        return cls(_vilt(model), f"vqa-1-{model}")

    def colour_of(self, pixels: NDArray[np.uint8], mask: NDArray[np.bool_], category: str) -> str | None:
        return group_of_answer(self.ask(Image.fromarray(pixels), f"What color is the {category}?"))


def group_of_answer(answer: str) -> str | None:
    """The colour group that an answer such as "dark red" or "black and white" names; None for none, or for several."""
    words = answer.lower().strip(" .")
    if words in COLOUR_WORDS:
        return COLOUR_WORDS[words]
    named = re.findall(r"[a-z]+", words)
    groups = {COLOUR_WORDS.get(word, word) for word in named if word in COLOUR_WORDS or word in COLOURS}
    return groups.pop() if len(groups) == 1 else None


def _vilt(model: str) -> Ask:
    """The most likely of the answers that a classifying model knows."""
    try:
        import torch
        from transformers import AutoModelForVisualQuestionAnswering, AutoProcessor
    except ImportError as error:
        raise InputError(
            f"asking a model for colours needs transformers ({error}); pip install transformers, or use pixels"
        ) from error
    try:
        processor = AutoProcessor.from_pretrained(model, local_files_only=True)
        network = AutoModelForVisualQuestionAnswering.from_pretrained(model, local_files_only=True).eval()
    except (OSError, ValueError, KeyError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"model {model!r} is not on this machine or cannot be loaded ({first_line}); "
            "give the folder of a ViLT that answers questions, or use pixels"
        ) from error

    def ask(picture: Image.Image, question: str) -> str:
        with torch.inference_mode():
            scores = network(**processor(picture, question, return_tensors="pt")).logits[0]  # (answers,)
        return str(network.config.id2label[int(scores.argmax())])

    return ask
