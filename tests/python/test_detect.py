"""Detection on files, slides and pixels: the program's boxes, and what is refused."""
import copy
import os
import pickle
import re
import threading
import time

import numpy as np
import pytest

import cytodet
from conftest import IMAGE, IMAGES, MODEL, SLIDE, TILES, boxes_of_program, boxes_of_run, same, usage


def test_a_file_has_the_boxes_of_the_program(model, tmp_path):
    found = model.detect(IMAGE)
    assert same(found, boxes_of_program(IMAGE, tmp_path))
    assert len(found) > 5 and found.boxes.dtype == np.float64 and found.scores.dtype == np.float32
    assert found.classes.dtype == np.int32 and found.boxes.shape == (len(found), 4)
    assert (np.diff(found.scores) <= 0).all()
    assert (found.width, found.height, found.state) == (640, 480, "done")


def test_a_slide_has_the_boxes_of_the_program(model, run_of_slide, found_on_slide):
    expected = boxes_of_run(run_of_slide, SLIDE)
    assert same(found_on_slide, expected) and len(found_on_slide) > 100 and found_on_slide.tiles > 10
    with cytodet.open_slide(SLIDE) as slide:
        assert same(model.detect(slide, settings={"tiling": {"tile_px": 1024, "overlap_px": 128}}), expected)


def test_pixels_have_the_boxes_of_their_file(model, pixels, tmp_path):
    expected = boxes_of_program(IMAGE, tmp_path)
    framed = np.zeros((500, 700, 3), np.uint8)
    framed[10:490, 20:660] = pixels
    for image in (pixels, np.asfortranarray(pixels), framed[10:490, 20:660], pixels[::-1][::-1]):
        assert same(model.detect(image), expected)
    assert same(model.detect(pixels[:, :, ::-1], order="BGR"), expected)
    assert same(model.detect([pixels, pixels])[1], expected)
    gray = pixels.mean(axis=2).astype(np.uint8)
    assert same(model.detect(gray), [getattr(model.detect(np.dstack([gray] * 3)), c) for c in ("boxes", "scores", "classes")])


def test_pixels_that_are_none_are_refused_with_what_is_expected(model, pixels):
    expected = "give uint8 of shape (height, width, 3), red first, or (height, width) for gray"
    usage(lambda: model.detect(pixels.astype(np.float32) / 255), "image: is float32", expected)
    usage(lambda: model.detect(pixels.transpose(2, 0, 1)), "image: has the shape (3, 480, 640)", expected)
    usage(lambda: model.detect(np.zeros((5, 5, 4), np.uint8)), "(5, 5, 4)", expected)
    usage(lambda: model.detect(np.zeros((0, 5, 3), np.uint8)), "(0, 5, 3)", expected)
    usage(lambda: model.detect(np.zeros((2, 5, 5, 3), np.uint8)), "(2, 5, 5, 3)")
    usage(lambda: model.detect(pixels, order="GBR"), "order", "'GBR'")
    usage(lambda: model.detect([pixels, IMAGE]), "source: is PosixPath, ndarray")
    usage(lambda: model.detect(7), "source: is int")
    usage(lambda: model.detect([]), "source: is an empty list")
    usage(lambda: model.detect(pixels, image_mpp="big"), "image_mpp")
    usage(lambda: model.detect(pixels, image_mpp=-1.0), "mpp")


def test_errors_are_the_lines_of_the_program(model, tmp_path):
    with pytest.raises(cytodet.Error) as caught:
        model.detect("missing.jpg")
    assert str(caught.value) == "missing.jpg: cannot open: no such file; check the path"
    assert (caught.value.where, caught.value.advice) == ("missing.jpg", "check the path")
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    results = model.detect([IMAGE, tmp_path / "bad.jpg"])
    assert [r.state for r in results] == ["done", "failed"] and "bad.jpg" in str(results[1].error)
    with pytest.raises(cytodet.Error, match="bad.jpg"):
        model.detect(tmp_path / "bad.jpg")
    with pytest.raises(cytodet.Error, match="none.json: cannot open"):
        cytodet.load("none.json")
    usage(lambda: model.detect(IMAGES), "is no single file", "give a list")
    usage(lambda: model.detect(IMAGE, settings={"tiling": {"tile_pxx": 3}}), "tile_pxx", "tile_px")
    usage(lambda: model.detect(IMAGE, tile=-4), "tile_px")
    usage(lambda: model.detect(IMAGE, mpp=float("nan")), "mpp: is nan; give a finite number")
    usage(lambda: model.detect(IMAGE, settings={"merge": {"iou": np.float32("inf")}}), "iou: is inf")
    usage(lambda: model.detect(IMAGE, score=0.001), "detect.score", "below the model's")
    usage(lambda: cytodet.load(MODEL, streams=-3), "streams")
    usage(lambda: cytodet.load("a\0b"), "no path")
    usage(lambda: cytodet.load(3), "path: is int")


def test_a_list_gives_a_list_as_long(model, tmp_path):
    other = tmp_path / "other.jpg"
    other.write_bytes(IMAGE.read_bytes())
    there = os.path.join(os.path.dirname(IMAGE), ".", os.path.basename(IMAGE))
    results = model.detect([IMAGE, other, there, str(IMAGE)])
    assert [r.name for r in results] == [str(IMAGE), str(other), str(IMAGE), str(IMAGE)]
    results[2].boxes[0] = 0
    assert (results[0].boxes[0] != 0).any() and (results[3].boxes[0] != 0).any()
    missing = model.detect([tmp_path / "none.png", IMAGE, tmp_path / "none.png"])
    assert [r.state for r in missing] == ["failed", "done", "failed"]


def test_closed_objects_say_so(pixels):
    with cytodet.load(MODEL, streams=1) as model, cytodet.open_slide(IMAGE) as slide:
        pass
    usage(lambda: model.detect(pixels), "the model is closed", "load it again")
    usage(lambda: model.network(pixels), "the model is closed")
    usage(lambda: slide.read(0, 0, 0, 1, 1), "the slide is closed")
    model.close()
    with cytodet.load(MODEL, streams=1) as other:
        usage(lambda: other.detect(slide), "the slide is closed")


def test_several_threads_share_a_model(model, pixels):
    expected = model.detect(pixels)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(model.detect(pixels))) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(answers) == 8 and all(same(a, (expected.boxes, expected.scores, expected.classes)) for a in answers)


def test_other_threads_run_while_one_detects(model):
    counted = []
    going = threading.Event()
    going.set()

    def count():
        while going.is_set():
            counted.append(1)
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    began = time.perf_counter()
    model.detect(SLIDE, **TILES)
    seconds = time.perf_counter() - began
    going.clear()
    thread.join()
    assert len(counted) > 100 * seconds  # with the lock held there would be none


def test_a_closed_model_ends_the_calls_that_use_it(pixels):
    model = cytodet.load(MODEL)
    found = []
    thread = threading.Thread(target=lambda: found.append(model.detect(SLIDE, **TILES)))
    thread.start()
    time.sleep(0.2)
    model.close()
    thread.join()
    assert len(found) == 1 and len(found[0]) > 100


def test_progress_is_told(model):
    told = []
    found = model.detect([IMAGE, SLIDE], **TILES, progress=told.append)
    assert isinstance(told[0], cytodet.Progress) and told[0].inputs == 2
    last = [p for p in told if p.input == 1][-1]
    assert last.tiles_done == last.tiles == found[1].tiles_run


def test_progress_through_bars(model):
    tqdm = pytest.importorskip("tqdm")
    with tqdm.tqdm(disable=False, leave=False) as bar:
        found = model.detect(SLIDE, **TILES, progress=bar)
        assert bar.n == bar.total == found.tiles_run
    made = []

    class Bar(tqdm.tqdm):
        def close(self):
            made.append((self.n, self.total))
            super().close()

    model.detect(SLIDE, **TILES, progress=Bar)
    assert (found.tiles_run, found.tiles_run) in made
    model.detect(IMAGE, progress=True)
    usage(lambda: model.detect(IMAGE, progress=3), "progress: is int")


def test_what_progress_raises_ends_the_call_and_keeps_what_is_done(model):
    def stop(p):
        if p.input == 1 and p.tiles_done == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough") as caught:
        model.detect([IMAGE, SLIDE], **TILES, progress=stop)
    whole, part = caught.value.results
    assert (whole.name, whole.state, part.name, part.state) == (str(IMAGE), "done", str(SLIDE), "failed")
    assert caught.value.results.stopped and len(part) > 0
    assert re.search(r"blood-mosaic.tif: was stopped after \d+ of \d+ tiles", str(part.error))


def test_results_are_values(model, pixels):
    found = model.detect(pixels, name="cells.png", image_mpp=0.5)
    assert (found.name, found.mpp) == ("cells.png", (0.5, 0.5))
    again = pickle.loads(pickle.dumps(found))
    assert same(again, (found.boxes, found.scores, found.classes)) and again.class_names == model.class_names
    some = found[found.scores > 0.5]
    assert 0 < len(some) < len(found) and (some.scores > 0.5).all() and some.name == "cells.png"
    assert len(found[0]) == 1 and "cells.png" in repr(copy.copy(found))
    with pytest.raises(cytodet.UsageError, match="2 boxes, 1 scores"):
        cytodet.Result("x", [[0, 0, 1, 1]] * 2, [1], [0, 0], ["cell"])
    assert not found.boxes.flags.owndata and found.boxes.flags.writeable


def test_raw_outputs_of_the_network(model, pixels):
    height, width = model.input_size
    outputs = model.network(pixels)
    assert len(outputs) > 1 and all(o.shape[0] == 1 and np.isfinite(o).all() for o in outputs.values())
    # The input that detection makes, by hand: an image of the input's size is only normalised.
    image = np.ascontiguousarray(np.pad(pixels, ((0, 32), (0, 0), (0, 0)))[:height, :width])
    value = ((image / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).astype(np.float32)[None]
    by_pixels, by_values = model.network(image), model.network(value)
    for name, output in by_pixels.items():
        assert np.abs(output - by_values[name]).max() < 1e-3 * (1 + np.abs(output).max())
    expected = f"feed float32 [1,{height},{width},3]"
    usage(lambda: model.network(value.astype(np.float64)), "is fed float64", expected)
    usage(lambda: model.network(value[:, :-1]), expected)
    usage(lambda: model.network("x.png"), "image: is str")
    usage(lambda: model.network(value[0]), "image: is float32")


def test_a_run_folder_is_the_programs(model, run_of_slide, tmp_path):
    summary = model.run([IMAGE, SLIDE], tmp_path / "run", detect={"tiling": {"tile_px": 1024, "overlap_px": 128}})
    assert (summary.done, summary.failed, summary.waiting) == (2, 0, 0) and summary.detections > 100
    assert (tmp_path / "run" / "detections.json").exists()
    for ours, theirs in zip(boxes_of_run(tmp_path / "run", SLIDE), boxes_of_run(run_of_slide, SLIDE)):
        assert np.array_equal(ours, theirs)
    usage(lambda: model.run(IMAGE, tmp_path / "other", settings={"modell": 1}), "modell")
