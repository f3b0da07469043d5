"""What the tests share: the shipped model, an image, and the program's answers."""
import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

import cytodet

SOURCE = pathlib.Path(__file__).resolve().parents[2]
MODEL = SOURCE / "models/efficientdet/efficientdet_d0_blood.json"
IMAGES = SOURCE / "tests/data/bccd"
IMAGE = IMAGES / "BloodImage_00007.jpg"
SLIDE = SOURCE / "tests/data/slides/blood-mosaic.tif"
TRUTH = IMAGES / "val.json"


def program(*words):
    """Runs `cytodet words`; its exit code must be 0. What it printed."""
    from cytodet import program as own

    ran = subprocess.run([own.find(), *map(str, words)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def boxes_of_program(file, folder, *options):
    """(boxes, scores, classes) that `cytodet detect` writes, byte for byte."""
    program("detect", "--model", MODEL, file, "-o", folder, "--quiet", *options)
    return boxes_of_run(folder, file)


def boxes_of_run(folder, file):
    """(boxes, scores, classes) of a run folder."""
    data = (pathlib.Path(folder) / "boxes" / (pathlib.Path(file).stem + ".boxes")).read_bytes()
    rows = np.frombuffer(data[data.index(b"\n") + 1:], np.dtype([("box", "<f8", 4), ("class", "<i4"), ("score", "<f4")]))
    return rows["box"], rows["score"], rows["class"]


def same(result, columns):
    return all(np.array_equal(a, b) for a, b in zip((result.boxes, result.scores, result.classes), columns))


def usage(call, *parts):
    """`call` is refused with one line that has these parts."""
    with pytest.raises(cytodet.UsageError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and all(p in text for p in parts), text
    return caught.value


@pytest.fixture(scope="session")
def model():
    with cytodet.load(MODEL) as opened:
        yield opened


TILES = {"tile": 1024, "overlap": 128}  # few of them: tests are quick
TILE_OPTIONS = ("--tile", 1024, "--overlap", 128)


@pytest.fixture(scope="session")
def run_of_slide(tmp_path_factory):
    """The program's run folder of the slide."""
    folder = tmp_path_factory.mktemp("slide")
    boxes_of_program(SLIDE, folder, *TILE_OPTIONS)
    return folder


@pytest.fixture(scope="session")
def found_on_slide(model):
    return model.detect(SLIDE, **TILES)


@pytest.fixture(scope="session")
def pixels():
    with cytodet.open_slide(IMAGE) as slide:
        return slide.read(0, 0, 0, slide.width, slide.height)


@pytest.fixture(autouse=True)
def from_the_source(monkeypatch):
    monkeypatch.chdir(SOURCE)
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)


def json_of(path):
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))


def environment(**more):
    return dict(os.environ, **more)
