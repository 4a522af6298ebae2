"""A package from outside adds a task domain, a transport and a predictor, and everything works with them.

It is installed from `tests/guest` into its own folder; no line of Edgewright knows its names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

GUEST = Path(__file__).parent / "guest"
ROOMS = ("host", "converters", "device_agent")
SERVE = """
import contextlib, io, json, sys
from edgewright.cli.app import main
for line in sys.stdin:
    sys.argv, out, err = ["edgewright", *json.loads(line)], io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main() or 0
        except SystemExit as exit:
            code = exit.code or 0
    print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
"""


class Program:
    """`edgewright` in an environment where the guest is installed: one process for all commands, imported once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, folder / "site"
        (folder / "source").mkdir()
        subprocess.run(["cp", "-r", f"{GUEST}/.", str(folder / "source")], check=True)  # the build writes beside it
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
        subprocess.run([*pip, "--target", str(self.site), str(folder / "source")], check=True, capture_output=True)
        self.environment = {**os.environ, "PYTHONPATH": str(self.site), "OMP_NUM_THREADS": "1"}

        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVE], env=self.environment, cwd=folder, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, *words: object, code: int = 0) -> Any:
        assert self._server.stdin and self._server.stdout
        argv = [*map(str, words), "--workspace", str(self.folder / "space"), "--json"]
        print(json.dumps(argv), file=self._server.stdin, flush=True)
        returned, out, err = json.loads(self._server.stdout.readline())
        assert returned == code, err
        return json.loads(out)

    def close(self) -> None:
        with self._server:
            assert self._server.stdin
            self._server.stdin.close()

    def python(self, *argv: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *argv]
        return subprocess.run(command, env=self.environment, cwd=self.folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with closing(Program(tmp_path_factory.mktemp("guest"))) as program:
        yield program


def test_nothing_of_ours_knows_the_guest() -> None:
    root = GUEST.parents[1]
    texts = [path.read_text() for room in ROOMS for path in (root / room).rglob("*.py")]
    names = ("edgewright_guest", '"stripes"', '"shed"', '"neighbours"')
    assert not [name for name in names for text in texts if name in text]


def test_it_trains_profiles_customises_and_its_model_answers(program: Program) -> None:
    supernet, shed = program.folder / "supernet", program.folder / "shed"
    shed.mkdir()
    trained = program("train", GUEST / "stripes.toml", "--out", supernet)
    assert trained["recipe"]["domain"] == {"name": "stripes", "noise": 0.05}
    assert program("device", "add", "shed", f"shed://{shed}")["uri"] == f"shed://{shed}"
    assert program("device", "check", "shed")["agent"]["agent_dir"] == str(shed / "agent")
    profiled = program("profile", "shed", "--supernet", supernet, "--subnets", 30)
    assert profiled["profile"]["n_failed"] == 0
    fitted = program("predictor", "fit", "shed", "--supernet", supernet, "--predictor", "neighbours")
    assert fitted["predictor"] == "neighbours" and fitted["neighbours"] == 4
    model = program.folder / "few.tflite"
    made = program(
        "customize", "--supernet", supernet, "--task", "horizontal, few", "--device", "shed", "--latency-ms", 50,
        "--predictor", "neighbours", "--out", model, "--push",
    )  # fmt: skip
    assert made["verified"] and made["accuracy"] > 0.7, "chance is one half"
    assert Path(made["device_path"]).is_file() and made["device_path"].startswith(str(shed))
    assert json.loads((program.folder / "few.tflite.manifest.json").read_text())["outputs"]["name"] == "stripes"

    draw = (
        "import numpy as np; from PIL import Image; from edgewright_guest.stripes import draw\n"
        "picture = draw(np.array([0]), np.random.default_rng(0), 0.0)[0, 0]\n"
        "Image.fromarray((255 * picture).astype(np.uint8)).save('few.png')"
    )
    assert program.python("-c", draw).returncode == 0
    (told,) = program("predict", "few.tflite", "few.png", "--device", "shed")["images"]
    assert told["answer"] in ("no", "yes") and 0.5 <= told["probability"] <= 1


def test_a_mistake_in_its_settings_is_named_by_us(program: Program) -> None:
    recipe = program.folder / "wrong.toml"
    recipe.write_text((GUEST / "stripes.toml").read_text().replace("noise = 0.05", "nois = 0.05"))
    told = program("train", recipe, "--out", program.folder / "never", code=2)
    assert "no field nois; did you mean noise?" in told["error"]


def test_without_the_package_its_name_is_unknown(program: Program, tmp_path: Path) -> None:
    (tmp_path / "stripes.toml").write_text((GUEST / "stripes.toml").read_text())
    argv = [sys.executable, "-m", "edgewright.cli", "train", "stripes.toml", "--out", "x", "--workspace", "w", "--json"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "unknown task domain 'stripes'" in json.loads(done.stdout)["error"]


@pytest.mark.sweep
def test_it_keeps_the_contracts(program: Program) -> None:
    """The shipped contract tests, run by pytest as an author would."""
    (program.folder / "test_contracts.py").write_text((GUEST / "contracts.py").read_text())
    done = program.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_contracts.py")
    assert done.returncode == 0, done.stdout[-4000:]
