"""Tasks that are questions: scoring answers, and reading a model's outputs as answers."""

import numpy as np
import pytest
from edgewright.domains.answers import AnswerExamples, AnswerReader
from edgewright.errors import InputError
from PIL import Image
from sklearn.datasets import load_sample_image

NO, YES = [4.0, -4.0], [-4.0, 4.0]


def outputs(*rows):
    return np.array(rows, np.float32)  # (B, 2)


def reader(shape=(3, 32, 48), answers=("no", "yes")):
    return AnswerReader.of({"answers": list(answers)}, shape)


def test_the_score_is_the_share_of_right_answers():
    examples = AnswerExamples(np.zeros((4, 1, 2, 2), np.float32), np.array([0, 1, 1, 0]))
    assert examples.score(outputs(NO, YES, YES, NO)) == 1.0
    assert examples.score(outputs(NO, YES, NO, YES)) == 0.5
    assert examples.agreement(outputs(NO, YES, NO, YES), outputs(NO, YES, YES, NO)) == 0.5


def test_a_photograph_is_resized_for_the_model_and_answered_with_a_probability(tmp_path):
    photograph = load_sample_image("china.jpg")  # (427, 640, 3)
    Image.fromarray(photograph).save(tmp_path / "china.png")
    seen = []

    def run(images):
        seen.append(images)
        return outputs(YES)

    (answered,) = reader().predict([tmp_path / "china.png"], run, 0.99)
    assert seen[0].shape == (1, 3, 32, 48) and seen[0].dtype == np.float32
    assert seen[0].mean((0, 2, 3)) == pytest.approx(photograph.mean((0, 1)) / 255, abs=0.01)
    assert answered.answer == "yes" and answered.probability == pytest.approx(1 / (1 + np.exp(-8)))
    assert answered.sentence == "yes (100.0%)" and answered.rows == ()
    assert answered.to_json() == {"image": str(tmp_path / "china.png"), "answer": "yes", "probability": 0.9997}


def test_a_model_with_one_channel_sees_grey(tmp_path):
    Image.new("RGB", (48, 32), (0, 255, 0)).save(tmp_path / "green.png")
    seen = []
    reader((1, 32, 48)).predict([tmp_path / "green.png"], lambda images: (seen.append(images), outputs(NO))[1], 0.0)
    assert seen[0].shape == (1, 1, 32, 48) and seen[0] == pytest.approx(np.full((1, 1, 32, 48), 150 / 255))


def test_an_answer_is_not_drawn(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (answered,) = reader().predict([tmp_path / "a.png"], lambda images: outputs(NO), 0.0)
    assert not reader().draws
    with pytest.raises(InputError, match="an answer cannot be drawn; .*b.png is not written"):
        answered.draw(tmp_path / "b.png")


def test_outputs_of_another_width_and_single_answers_are_refused(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"outputs of shape \(1, 2\) are not the answers a, b, c"):
        reader(answers="abc").predict([tmp_path / "a.png"], lambda images: outputs(NO), 0.0)
    with pytest.raises(ValueError, match="answers"):
        reader(answers=["yes"])
    with pytest.raises(KeyError):
        AnswerReader.of({}, (1, 2, 2))
