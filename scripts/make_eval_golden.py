"""Makes tests/data/eval/traps.json: small random truth and detections, and what pycocotools says of them.

usage: $(scripts/oracle_env coco) scripts/make_eval_golden.py
"""
import contextlib
import io
import json
import pathlib

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/data/eval/traps.json"


def make(rng, images, categories, per_image, crowd, zero_id, ties, edge_areas, ignore):
    truth = {"images": [{"id": int(i), "file_name": f"{i}.png", "width": 500, "height": 400} for i in rng.permutation(images * 3)[:images]],
             "categories": [{"id": int(c * 2 + 1), "name": f"c{c}"} for c in range(categories)], "annotations": []}
    detections = []
    next_id = 0 if zero_id else 1
    for image in truth["images"]:
        for _ in range(rng.integers(0, per_image + 1)):
            x, y = rng.integers(0, 300, 2)
            w, h = rng.integers(4, 160, 2)
            if edge_areas:
                w, h = [(32, 32), (96, 96), (16, 64)][rng.integers(3)]
            cat = int(rng.choice(truth["categories"])["id"])
            a = {"id": next_id, "image_id": image["id"], "category_id": cat, "bbox": [float(x), float(y), float(w), float(h)],
                 "area": float(w * h * (1 if edge_areas else rng.choice([1, 0.7]))), "iscrowd": int(crowd and rng.random() < 0.25)}
            if ignore and rng.random() < 0.3:
                a["ignore"] = 1
            truth["annotations"].append(a)
            next_id += 1
            for _ in range(rng.integers(0, 4)):
                j = rng.normal(0, 0.08, 4) * [w, h, w, h] if rng.random() < 0.8 else np.zeros(4)
                score = float(np.round(rng.random(), 1 if ties else 6))
                detections.append({"image_id": image["id"], "category_id": cat if rng.random() < 0.9 else int(rng.choice(truth["categories"])["id"]),
                                   "bbox": [float(x + j[0]), float(y + j[1]), float(max(1, w + j[2])), float(max(1, h + j[3]))], "score": score})
        for _ in range(rng.integers(0, 3)):
            detections.append({"image_id": image["id"], "category_id": int(rng.choice(truth["categories"])["id"]),
                               "bbox": [float(v) for v in np.concatenate([rng.integers(0, 300, 2), rng.integers(5, 200, 2)])], "score": float(rng.random())})
    return truth, detections


def score(truth, detections, max_dets, use_cats):
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = json.loads(json.dumps(truth))
        gt.createIndex()
        e = COCOeval(gt, gt.loadRes(json.loads(json.dumps(detections))), "bbox")
        e.params.maxDets = max_dets
        e.params.useCats = use_cats
        e.evaluate()
        e.accumulate()
        # summarize() hard-codes 100 for the first figure; take every figure at the largest maxDets instead.
        def figure(ap, iou=None, area="all", m=max_dets[-1]):
            a, k = e.params.areaRngLbl.index(area), max_dets.index(m)
            s = e.eval["precision" if ap else "recall"]
            s = s[..., a, k]
            if iou is not None:
                s = s[np.where(np.isclose(iou, e.params.iouThrs))[0]]
            s = s[s > -1]
            return float(np.mean(s)) if s.size else -1.0
        stats = [figure(1), figure(1, .5), figure(1, .75)] + [figure(1, area=a) for a in ("small", "medium", "large")]
        stats += [figure(0, m=m) for m in max_dets] + [figure(0, area=a) for a in ("small", "medium", "large")]
        if max_dets == [1, 10, 100]:
            e.summarize()
            assert np.allclose(stats, e.stats, atol=1e-12), (stats, e.stats)
    return stats


def main():
    rng = np.random.default_rng(20)
    cases = []
    for name, options in {
        "plain": {}, "crowds": {"crowd": True}, "score_ties": {"ties": True}, "area_borders": {"edge_areas": True}, "ignore_field": {"ignore": True, "crowd": True},
        "id_zero": {"zero_id": True}, "sparse": {"per_image": 1, "images": 4}, "many": {"per_image": 40, "images": 6, "categories": 2},
    }.items():
        o = {"images": 10, "categories": 4, "per_image": 8, "crowd": False, "zero_id": False, "ties": False, "edge_areas": False, "ignore": False} | options
        for repeat in range(2):
            truth, detections = make(rng, **o)
            for max_dets, use_cats in (([1, 10, 100], 1), ([1, 3, 5], 1), ([1, 10, 500], 1), ([1, 10, 100], 0)):
                if use_cats == 0 and name == "id_zero":
                    continue
                cases.append({"name": f"{name}_{repeat}", "truth": truth, "detections": detections, "max_dets": max_dets, "use_categories": bool(use_cats),
                              "stats": score(truth, detections, max_dets, use_cats)})
    OUT.write_text(json.dumps(cases, separators=(",", ":")))
    print(len(cases), "cases,", OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
