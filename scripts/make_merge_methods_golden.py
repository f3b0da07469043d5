"""Makes tests/data/tiling/merge/methods.json: small random sets of boxes, and what SAHI and ensemble-boxes make of them.

usage: $(scripts/oracle_env merge) scripts/make_merge_methods_golden.py
"""
import json
import pathlib
import warnings

import numpy as np
from ensemble_boxes import weighted_boxes_fusion
from sahi.postprocess.backends import set_postprocess_backend
from sahi.postprocess.combine import GreedyNMMPostprocess, NMMPostprocess, NMSPostprocess
from sahi.prediction import ObjectPrediction

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/data/tiling/merge/methods.json"
FIELD = 1000.0


def tiles(rng, cells, copies):
    """Cells seen by several tiles: each a few times, moved and cut a little."""
    at, size = rng.uniform(50, 850, (cells, 2)), rng.uniform(10, 90, (cells, 2))
    boxes = np.concatenate([at, at + size], 1).repeat(copies, 0)
    boxes += rng.normal(0, 0.07, boxes.shape) * np.concatenate([size, size], 1).repeat(copies, 0)
    return boxes, rng.integers(0, 3, cells).repeat(copies)


def crowd(rng, count):
    at, size = rng.uniform(0, 80, (count, 2)), rng.uniform(1, 40, (count, 2))
    return np.concatenate([at, at + size], 1), rng.integers(0, 2, count)


def nested(rng, count):
    centre, half = rng.uniform(480, 520, (count, 2)), np.exp(rng.uniform(0, 6, (count, 1))) * rng.uniform(0.7, 1.4, (count, 2))
    return np.concatenate([centre - half, centre + half], 1), rng.integers(0, 2, count)


def ranked(boxes, categories, rng):
    """Rows x0, y0, x1, y1, score, category by falling score; no two scores are equal, every one is a float's. Coordinates are fine enough that no overlap
    equals a limit, where SAHI merges (at least) and this project does not (more than)."""
    boxes = np.round(boxes.clip(0, FIELD), 4)
    keep = (boxes[:, 2] - boxes[:, 0] > 0.5) & (boxes[:, 3] - boxes[:, 1] > 0.5)
    boxes, categories = boxes[keep], categories[keep]
    scores = np.sort(rng.choice(np.arange(60, 1024), len(boxes), replace=False))[::-1] / 1024
    return np.column_stack([boxes, scores, categories])


def sahi(kind, rows, metric, limit, agnostic):
    predictions = [ObjectPrediction(bbox=list(r[:4]), category_id=int(r[5]), category_name=str(int(r[5])), score=float(r[4]), full_shape=[1000, 1000]) for r in rows]
    merged = kind(match_threshold=limit, match_metric=metric, class_agnostic=agnostic)(predictions)
    return [[*map(float, p.bbox.to_xyxy()), float(p.score.value), int(p.category.id)] for p in merged]


def wbf(rows, limit, score, models):
    parts = [rows[m::models] for m in range(models)]
    boxes, scores, labels = weighted_boxes_fusion([p[:, :4] / FIELD for p in parts], [p[:, 4] for p in parts], [p[:, 5].astype(int) for p in parts],
                                                  iou_thr=limit, conf_type=score)
    return [[*map(float, b * FIELD), float(s), int(c)] for b, s, c in zip(boxes, scores, labels)]


def main():
    warnings.simplefilter("error")
    set_postprocess_backend("numpy")
    rng = np.random.default_rng(12)
    cases = []
    for name, (boxes, categories) in {"tiles": tiles(rng, 90, 4), "crowd": crowd(rng, 500), "nested": nested(rng, 120)}.items():
        rows = ranked(boxes, categories, rng)
        answers = []
        for method, kind in {"nms": NMSPostprocess, "greedy_nmm": GreedyNMMPostprocess, "nmm": NMMPostprocess}.items():
            for metric, limit, agnostic in (("IOU", 0.5, False), ("IOU", 0.3, True), ("IOS", 0.5, True), ("IOS", 0.3, False)):
                answers.append({"method": method, "metric": metric.lower(), "iou": limit, "class_agnostic": agnostic,
                                "merged": sahi(kind, rows, metric, limit, agnostic)})
        for limit, score, models in ((0.55, "max", 1), (0.55, "avg", 1), (0.4, "avg", 3)):
            answers.append({"method": "wbf", "iou": limit, "wbf_score": score, "wbf_models": models, "merged": wbf(rows, limit, score, models)})
        for a in answers:
            a["merged"] = [[round(v, 4) if i < 4 else round(v, 7) if i == 4 else v for i, v in enumerate(m)] for m in a["merged"]]
        cases.append({"name": name, "boxes": rows.tolist(), "answers": answers})
        print(name, len(rows), {(a["method"], a.get("metric"), a["iou"]): len(a["merged"]) for a in answers})
    OUT.write_text(json.dumps(cases, separators=(",", ":")))
    print(OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
