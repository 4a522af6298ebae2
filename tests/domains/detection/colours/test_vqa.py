"""Asking a model for colours: with a small callable in its place, and with a real but untrained ViLT."""

import sys

import numpy as np
import pytest
from edgewright.domains.detection.colours.vqa import VqaColours, group_of_answer
from edgewright.errors import InputError

PIXELS, MASK = np.zeros((30, 50, 3), np.uint8), np.ones((30, 50), bool)


@pytest.mark.parametrize(
    ("answer", "colour"),
    [
        ("red", "crimson"),
        ("Dark Red.", "crimson"),
        ("black and grey", "charcoal"),
        ("black and white", None),
        ("light gray", "white"),
        ("gold", "bronze"),
        ("green", "lime"),
        ("blue", None),
        ("no", None),
        ("", None),
    ],
)
def test_answers_are_put_into_groups(answer, colour):
    assert group_of_answer(answer) == colour


def test_the_question_is_about_the_object_in_its_box():
    asked = []

    def answering(picture, question):
        asked.append((picture.size, question))
        return "brown"

    assert VqaColours(answering, "a callable").colour_of(PIXELS, MASK, "motorcycle") == "bronze"
    assert asked == [((50, 30), "What color is the motorcycle?")]


def test_without_transformers_the_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match="needs transformers .* pip install transformers, or use pixels"):
        VqaColours.of_model()


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """The folder of a ViLT with four times four weights a matrix, which says "light green" to everything."""
    import torch
    from transformers import BertTokenizer, ViltConfig, ViltForQuestionAnswering, ViltImageProcessor, ViltProcessor

    folder = tmp_path_factory.mktemp("vilt")
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] what color is the car ?".split()
    (folder / "vocab.txt").write_text("\n".join(words))
    answers = {0: "red", 1: "light green"}
    config = ViltConfig(
        vocab_size=len(words), hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=4,
        image_size=32, patch_size=16, id2label=answers, label2id={name: index for index, name in answers.items()},
    )  # fmt: skip
    network = ViltForQuestionAnswering(config)
    with torch.no_grad():
        network.classifier[-1].bias.copy_(torch.tensor([0.0, 50.0]))
    network.save_pretrained(folder)
    pictures = ViltImageProcessor(size={"shortest_edge": 32}, size_divisor=32)
    ViltProcessor(pictures, BertTokenizer(str(folder / "vocab.txt"))).save_pretrained(folder)
    return folder


def test_a_model_of_transformers_is_asked(untrained):
    annotator = VqaColours.of_model(str(untrained))
    assert annotator.colour_of(PIXELS, MASK, "car") == "lime" and str(untrained) in annotator.name


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(InputError, match="is not on this machine or cannot be loaded .* or use pixels"):
        VqaColours.of_model(str(tmp_path))
