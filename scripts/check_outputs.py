"""Reads every form of output with its consumers' own code; see check_outputs."""
import csv
import gzip
import json
import pathlib
import shutil
import subprocess
import sys
import uuid

import geojson
import jsonschema
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

# RFC 7946 as far as detections use it, and what QuPath's reader asks of a detection.
POSITION = {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}}
FEATURE = {
    "type": "object", "required": ["type", "id", "geometry", "properties"], "additionalProperties": False,
    "properties": {
        "type": {"const": "Feature"},
        "id": {"type": "string", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"},
        "geometry": {"type": "object", "required": ["type", "coordinates"],
                     "properties": {"type": {"const": "Polygon"},
                                    "coordinates": {"type": "array", "minItems": 1, "items": {"type": "array", "minItems": 4, "items": POSITION}}}},
        "properties": {"type": "object", "required": ["objectType", "classification", "measurements"],
                       "properties": {"objectType": {"const": "detection"},
                                      "classification": {"type": "object", "required": ["name", "color"],
                                                         "properties": {"name": {"type": "string", "minLength": 1},
                                                                        "color": {"type": "array", "minItems": 3, "maxItems": 3,
                                                                                  "items": {"type": "integer", "minimum": 0, "maximum": 255}}}},
                                      "measurements": {"type": "object", "additionalProperties": {"type": "number"}}}},
    },
}
SCHEMA = {"type": "object", "required": ["type", "features"],
          "properties": {"type": {"const": "FeatureCollection"}, "features": {"type": "array", "items": FEATURE}}}

TRUTH = "tests/data/eval/synthetic200_gt.json"
RESULTS = "tests/data/eval/synthetic200_dt.json"


def main():
    program = sys.argv[1]
    out = pathlib.Path("out/check_outputs")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)

    def export(*arguments):
        subprocess.run([program, "export", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)

    export(RESULTS, "-o", f"{out}/", "--truth", TRUTH, "--format", "coco,box-list,csv,geojson,geojson.gz,summary")
    results = json.loads(pathlib.Path(RESULTS).read_text())
    truth = COCO(TRUTH)
    together, schema = [], jsonschema.Draft202012Validator(SCHEMA)
    for image in truth.loadImgs(truth.getImgIds()):
        stem = pathlib.Path(image["file_name"]).stem
        mine = [r for r in results if r["image_id"] == image["id"]]
        coco = json.loads((out / f"{stem}.coco.json").read_text())
        assert len(coco) == len(mine)
        together += coco
        text = (out / f"{stem}.geojson").read_text()
        assert gzip.decompress((out / f"{stem}.geojson.gz").read_bytes()).decode() == text
        schema.validate(json.loads(text))
        collection = geojson.loads(text)
        assert collection.is_valid, collection.errors()
        assert len(collection.features) == len(mine) == len({uuid.UUID(f.id) for f in collection.features})
        for f, r in zip(collection.features, mine):
            x, y, w, h = r["bbox"]
            ring = f.geometry.coordinates[0]
            assert max(abs(ring[0][0] - x), abs(ring[0][1] - y), abs(ring[2][0] - x - w), abs(ring[2][1] - y - h)) < 0.00501
            assert f.properties["classification"]["name"] == truth.cats[r["category_id"]]["name"]
        with open(out / f"{stem}.csv", newline="") as f:
            rows = list(csv.DictReader(f))
        assert len(rows) == len(mine)
        for row, r in zip(rows, mine):
            assert row["image"] == stem and int(row["image_id"]) == image["id"] and abs(float(row["score"]) - r["score"]) < 1e-6
            assert max(abs(float(row[k]) - v) for k, v in zip(("x", "y", "width", "height"), r["bbox"])) < 0.00051
        listed = json.loads((out / f"{stem}.json").read_text())
        assert len(listed) == len(mine) and all(isinstance(b[k], int) for b in listed for k in "xywh") and all(b["w"] > 0 and b["h"] > 0 for b in listed)
        summary = json.loads((out / f"{stem}.summary.json").read_text())
        assert summary["boxes"] == len(mine) == sum(c["boxes"] for c in summary["classes"])

    def stats(detections):
        e = COCOeval(truth, truth.loadRes(detections), "bbox")
        e.evaluate()
        e.accumulate()
        e.summarize()
        return e.stats

    before, after = stats(results), stats(together)
    assert abs(before - after).max() < 1e-4, (before, after)  # three decimals of a pixel

    slide = "tests/data/slides/blood-mosaic.tif"
    one = [{"image_id": 1, "category_id": 1, "bbox": [100 + 40 * i, 200, 80, 80], "score": 1 - i / 100} for i in range(60)]
    (out / "one.json").write_text(json.dumps(one))
    export(out / "one.json", "-o", out / "one.heatmap.png", "--slides", slide)
    export(out / "one.json", "-o", out / "one.crops.png", "--slides", slide, "--crops", 30)
    for name, least in (("one.heatmap.png", (1600, 1200)), ("one.crops.png", (1600, 400))):
        with Image.open(out / name) as picture:
            picture.load()
            assert picture.mode == "RGB" and picture.size[0] >= least[0] and picture.size[1] >= least[1], picture.size
    print(f"{len(results)} boxes of {len(truth.imgs)} images: every form is read back by its consumers")


if __name__ == "__main__":
    main()
