"""The wheel holds exactly what is in the folders; its entry point works, and there is no second copy."""

import configparser
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("host", "converters", "device_agent")
SHIPPED_LIMIT_MIB = {"numvqa": 25, "attrod": 5}


def installed(path):
    """Where a file of the checkout lies in the wheel: `host/` is the package `edgewright` itself."""
    parts = path.relative_to(ROOT).parts
    return Path("edgewright", *(parts[1:] if parts[0] == "host" else parts))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    shutil.rmtree(ROOT / "build", ignore_errors=True)  # setuptools would ship what an earlier build left there
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_setup_cfg_lists_every_package_on_disk():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    on_disk = {
        ".".join(installed(path.parent).parts)
        for room in ROOMS
        for path in (ROOT / room).rglob("__init__.py")
    }
    assert listed == on_disk


def test_the_wheel_holds_every_source_file_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {
        str(installed(path))
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == expected


def test_the_shipped_supernets_are_in_the_wheel_and_small(wheel):
    sizes = {i.filename: i.file_size for i in zipfile.ZipFile(wheel).infolist() if "/zoo/" in i.filename}
    needed = {"supernet.json", "backbone.safetensors", "assembler.safetensors", "CARD.md"}
    for folder in {Path(name).parent for name in sizes}:
        assert needed <= {Path(name).name for name in sizes if Path(name).parent == folder}
    assert {Path(name).name for name in sizes} <= needed | {"metrics.csv"}, "no checkpoint, no curve"
    for domain, limit_mib in SHIPPED_LIMIT_MIB.items():
        assert 0 < sum(size for name, size in sizes.items() if f"/zoo/{domain}-" in name) <= limit_mib * 2**20


def test_the_entry_point_of_the_wheel_answers(wheel, tmp_path):
    """The wheel alone in a new environment, beside the libraries of this one."""
    environment = tmp_path / "env"
    venv.create(environment, with_pip=False)
    site = next(environment.glob("lib/python*/site-packages"))
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    libraries = [p for p in sys.path if p.endswith("site-packages")]
    # Plain paths only: the .pth of the editable install under test is not followed from here.
    (site / "libraries.pth").write_text("\n".join(libraries) + "\n")
    command = [environment / "bin" / "edgewright", "device", "list", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"local"' in done.stdout
    where = "import edgewright.gates as g; print(g.__file__)"
    found = subprocess.run([environment / "bin" / "python", "-c", where], cwd=tmp_path, capture_output=True, text=True)
    assert str(environment) in found.stdout


@pytest.mark.parametrize(("name", "meant"), [("host", "edgewright"), ("converters", "edgewright.converters")])
def test_no_second_copy_can_be_imported_from_the_root(name, meant):
    done = subprocess.run([sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0 and f"import this package as '{meant}'" in done.stderr
