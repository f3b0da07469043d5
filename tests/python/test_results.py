"""Results in other forms, and their scores."""
import gzip
import json

import numpy as np
import pytest

import cytodet
from conftest import IMAGE, IMAGES, MODEL, TRUTH, json_of, program, usage


@pytest.fixture(scope="module")
def found(model):
    return model.detect(IMAGE)


@pytest.fixture(scope="module")
def all_found(model):
    return model.detect([IMAGES])


def test_coco_results_are_those_of_the_program(model, tmp_path):
    program("detect", "--model", MODEL, IMAGE, "-o", tmp_path, "--quiet")
    theirs = json_of(tmp_path / "detections.json")
    ours = model.detect(IMAGE).to_coco()
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert a["category_id"] == b["category_id"] and a["score"] == pytest.approx(b["score"], rel=1e-6)
        assert a["bbox"] == pytest.approx(b["bbox"], abs=1e-3)


def test_geojson_is_that_of_the_program(run_of_slide, found_on_slide, tmp_path):
    program("export", run_of_slide, "-o", tmp_path / "theirs.geojson", "--image", 1, "--score", 0)
    theirs = json_of(tmp_path / "theirs.geojson")
    found = found_on_slide
    ours = found.to_geojson()
    assert len(ours["features"]) == len(found) > 100
    for a, b in zip(ours["features"], theirs["features"]):
        assert a["geometry"] == b["geometry"] and a["properties"] == b["properties"]
    program("export", run_of_slide, "-o", tmp_path / "counted.geojson", "--image", 1)
    counted = found.counted()
    assert 0 < len(counted) < len(found)
    assert [f["geometry"] for f in counted.to_geojson()["features"]] == [
        f["geometry"] for f in json_of(tmp_path / "counted.geojson")["features"]]
    for form in ("csv", "summary.json", "heatmap.png"):  # the program's forms of cells hold those that count
        counted.save(tmp_path / f"ours.{form}")
        program("export", run_of_slide, "-o", tmp_path / f"theirs.{form}", "--image", 1)
    ours_said, theirs_said = ((tmp_path / f"{name}.csv").read_text().split("\n") for name in ("ours", "theirs"))
    assert [row.partition(",")[2] for row in ours_said] == [row.partition(",")[2] for row in theirs_said]
    assert (tmp_path / "ours.heatmap.png").read_bytes() == (tmp_path / "theirs.heatmap.png").read_bytes()
    ours_said, theirs_said = (json_of(tmp_path / f"{name}.summary.json") for name in ("ours", "theirs"))
    assert theirs_said.pop("boxes_count") and theirs_said.pop("image") in ours_said.pop("image") and ours_said == theirs_said
    found.save(tmp_path / "cells.geojson.gz")
    assert json.loads(gzip.decompress((tmp_path / "cells.geojson.gz").read_bytes())) == ours
    for name in ("cells.csv", "cells.heatmap.png", "cells.crops.png", "cells.summary.json", "cells.json"):
        found.save(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 100
    usage(lambda: found.save(tmp_path / "cells.xml"), "cells.xml: has a name that says no form", ".geojson")
    usage(lambda: cytodet.Result(str(tmp_path / "cells.csv"), [], [], [], ["a"]).save(tmp_path / "cells.csv"), "cells.csv")
    with pytest.raises(cytodet.Error, match="/no/such"):
        found.save("/no/such/cells.csv")


def test_a_data_frame_has_a_row_per_detection(found, all_found):
    pytest.importorskip("pandas")
    table = found.to_pandas()
    assert list(table.columns) == ["image", "class", "score", "x0", "y0", "x1", "y1", "category_id"]
    assert len(table) == len(found) and list(table["class"]) == found.labels
    assert np.array_equal(table[["x0", "y0", "x1", "y1"]].to_numpy(), found.boxes)
    assert len(all_found.to_pandas()) == sum(map(len, all_found))


def test_supervision_takes_the_detections(found):
    sv = pytest.importorskip("supervision")
    detections = found.to_supervision()
    assert isinstance(detections, sv.Detections) and len(detections) == len(found)
    assert np.allclose(detections.xyxy, found.boxes) and list(detections.data["class_name"]) == found.labels
    assert len(detections[detections.confidence > 0.5]) == int((found.scores > 0.5).sum())


def test_scores_are_those_of_the_program(all_found, tmp_path):
    program("evaluate", "--truth", TRUTH, "--model", MODEL, "--images", IMAGES, "-o", tmp_path / "report.json", "--quiet")
    report = json_of(tmp_path / "report.json")
    scores = cytodet.evaluate(TRUTH, all_found)
    assert scores.figures == report["stats"] and scores["AP50"] > 0.5
    assert list(scores.figures) == ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
    assert [c.ap for c in scores.classes] == [c["AP"] for c in report["classes"]]
    truth = cytodet.GroundTruth(json_of(TRUTH))
    assert truth.images == 36
    assert np.array_equal(cytodet.evaluate(truth, list(all_found)).stats, scores.stats)


def test_scores_are_those_of_pycocotools(all_found):
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    truth = coco.COCO(str(TRUTH))
    ids = {i["file_name"]: i["id"] for i in truth.dataset["images"]}
    rows = [row for r in all_found for row in r.to_coco(ids[r.name.rpartition("/")[2]])]
    run = cocoeval.COCOeval(truth, truth.loadRes(rows), "bbox")
    run.evaluate(), run.accumulate(), run.summarize()
    assert np.allclose(cytodet.evaluate(TRUTH, all_found).stats, run.stats, atol=1e-12)
    assert np.allclose(cytodet.evaluate(TRUTH, rows).stats, run.stats, atol=1e-12)


def test_results_that_were_changed_are_scored_as_they_are(all_found):
    best = [r[r.scores > 0.9] for r in all_found]
    assert 0 < cytodet.evaluate(TRUTH, best)["AR100"] < cytodet.evaluate(TRUTH, all_found)["AR100"]
    one = cytodet.Result("a.png", [[10, 10, 60, 60]], [0.9], [0], ["cell"], category_ids=[3], width=100, height=100)
    truth = {"images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 100}], "categories": [{"id": 3, "name": "cell"}],
             "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [10, 10, 50, 50], "area": 2500, "iscrowd": 0}]}
    assert cytodet.evaluate(truth, one)["AP"] == pytest.approx(1.0)


def test_what_cannot_be_scored_is_refused(found, tmp_path):
    usage(lambda: cytodet.evaluate(TRUTH, 5), "results: is int")
    usage(lambda: cytodet.evaluate(TRUTH, found, max_dets=(5, 3)), "max_dets")
    with pytest.raises(cytodet.Error, match="none.json"):
        cytodet.evaluate("none.json", found)
    with pytest.raises(cytodet.Error):
        cytodet.GroundTruth({"images": 3})
    other = cytodet.Result("b.png", [], [], [], ["other"])
    usage(lambda: cytodet.evaluate(TRUTH, [found, other]), "other classes")
    changed = cytodet.Result("a.png", [[3, 3, 1, 1]], [0.5], [0], ["cell"])
    usage(lambda: cytodet.evaluate(TRUTH, changed), "a.png: detection 0: has x0 > x1")
    changed.boxes = np.full((1, 4), np.nan)
    usage(lambda: cytodet.evaluate(TRUTH, changed), "not finite")
