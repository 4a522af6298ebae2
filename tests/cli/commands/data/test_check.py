"""`edgewright data check`: what a folder of labelled images holds, and one sentence where it cannot be used."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.command_line import MAIN
from tests.data.small_folder import drawn, save, write_digits, write_table
from tests.domains.detection.small_coco import write_small_coco


def check(edgewright, folder, *words):
    return edgewright("data", "check", folder, *words, "--workspace", folder.parent / "workspace")


def test_a_folder_for_people(edgewright, tmp_path):
    folder = write_digits(tmp_path / "digits", splits=True)
    shutil.rmtree(folder / "validation")
    shutil.copy(folder / "test" / "one" / "000.png", folder / "train" / "two" / "900.png")
    (folder / "train" / "two" / "003.png").write_bytes(b"")
    answer = check(edgewright, folder)
    assert answer.exit_code == 0 and answer.out == ""
    assert "class  one" in answer.err
    assert "119 of 121 images can be used: " in answer.err
    assert "(splits as given, validation drawn from train by content)" in answer.err
    assert "all are 28 x 28 pixels" in answer.err
    assert "not used: train/two/003.png (not an image)" in answer.err
    assert "1 picture is there more than once, 0 of them saved again" in answer.err
    assert "train/two/900.png (the same picture as test/one/000.png of the test split)" in answer.err
    assert "1 picture has different labels in different files, such as test/one/000.png and train/two" in answer.err
    assert '4 choices of two to five of the 3 labels of class, such as "one | two"' in answer.err


def test_a_table_for_programs(edgewright, tmp_path):
    folder = write_table(tmp_path / "table")
    answer = check(edgewright, folder, "--json")
    assert set(answer.json) == {"classes", "attributes", "images", "splits", "unreadable", "duplicates", "tasks"}
    assert sum(answer.json["splits"].values()) == 36
    again = check(edgewright, folder / "labels.csv", "--json")
    assert again.json == answer.json


def test_unbalanced_labels_are_pointed_out(edgewright, tmp_path):
    folder = write_digits(tmp_path / "digits", n=40)
    for number in range(10, 40):
        (folder / "two" / f"{number:03}.png").unlink()
    save(drawn("disc", "red", 1, 100), folder / "two" / "large.png")
    answer = check(edgewright, folder)
    assert "class is unbalanced: the most frequent label has 3.64 times as many images as the rarest" in answer.err
    assert "from 28 x 28 to 100 x 100 pixels, half of them up to 28 x 28" in answer.err
    assert "no picture is there twice" in answer.err


def empty(folder):
    folder.mkdir()


def one_class(folder):
    write_digits(folder, ["one"])


def few(folder):
    write_digits(folder, n=9)


def not_there(folder):
    write_table(folder)
    (folder / "pictures" / "disc-000.png").unlink()


def no_file_column(folder):
    write_table(folder)
    text = (folder / "labels.csv").read_text()
    (folder / "labels.csv").write_text(text.replace("file,", "path,"))


def renamed(name):
    def write(folder):
        write_digits(folder)
        (folder / "one").rename(folder / name)

    return write


def many_broken(folder):
    write_digits(folder)
    for number in range(7):
        (folder / "two" / f"{number:03}.png").write_bytes(b"\xff\xd8")


def coco(folder):
    write_small_coco(folder)


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (empty, "no labelled images in DIR; expected torchvision's files"),
        (one_class, "all images of DIR have the same class, 'one'; a model needs at least two to tell apart"),
        (few, "too few images in DIR: 'one' has 9, 'two' has 9, 'zero' has 9; each label needs at least 10"),
        (not_there, "DIR/labels.csv names 1 file that is not there: pictures/disc-000.png; paths start at DIR"),
        (no_file_column, "DIR/labels.csv has no column 'file'; it has: path, shape, colour, bright"),
        (renamed("black, white"), "the label 'black, white' cannot be typed in a task: it holds a comma; rename it"),
        (renamed("a|b"), """the label 'a|b' cannot be typed in a task: it holds "|"; rename it"""),
        (renamed('the "one"'), """the label 'the "one"' cannot be typed in a task: it holds a quote; rename it"""),
        (renamed("1" * 200), "it has 200 characters, more than 60; rename it"),
        (renamed("Two"), "the labels 'Two' and 'two' differ only by case; rename or join them"),
        (many_broken, "7 of 60 images of DIR are left out: two/000.png (not an image), two/001.png"),
        (coco, "DIR is in COCO's format; check it with: edgewright data annotate DIR"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_folder_that_cannot_be_used_is_one_sentence(edgewright, tmp_path, write, sentence):
    write(tmp_path / "DIR")
    answer = check(edgewright, tmp_path / "DIR", "--json")
    lines = answer.err.splitlines()
    assert answer.exit_code == 2 and sentence.replace("DIR", str(tmp_path / "DIR")) in lines[-1]
    assert sum(line.startswith("edgewright: ") for line in lines) == 1
    assert answer.json == {"error": lines[-1].removeprefix("edgewright: "), "exit_code": 2}


def test_unicode_labels_are_fine(edgewright, tmp_path):
    renamed("猫 Äpfel")(tmp_path / "DIR")
    assert list(check(edgewright, tmp_path / "DIR", "--json").json["classes"]["class"]) == ["two", "zero", "猫 Äpfel"]


def workers_of(pid):
    """Its processes, whichever of its threads started them."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [child for task in tasks for child in task.read_text().split()]


def test_ctrl_c_says_how_to_go_on(tmp_path):
    """Also while worker processes look at images."""
    folder = tmp_path / "noise"
    first = save(Image.effect_noise((1200, 1200), 50), folder / "one" / "000.png")
    (folder / "two").mkdir()
    for number in range(1, 800):
        os.link(first, folder / ("one", "two")[number % 2] / f"{number:03}.png")
    argv = [sys.executable, "-c", MAIN, "data", "check", str(folder), "--workspace", str(tmp_path / "ws"), "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(argv, **pipes) as command:
        for _ in range(600):
            if len(workers_of(command.pid)) >= 2:
                break
            time.sleep(0.05)
        time.sleep(0.2)
        os.killpg(command.pid, signal.SIGINT)
        out, err = command.communicate(timeout=60)
    assert command.returncode == 130, err
    assert err.splitlines()[-1] == "edgewright: stopped; run the same command again to continue"
    assert "Traceback" not in err and json.loads(out)["exit_code"] == 130