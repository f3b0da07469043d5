"""Makes tests/data/eval/screening.json: figures of the shipped detections of the blood images by pycocotools, scikit-learn and numpy.

usage: $(scripts/oracle_env screening) scripts/make_screening_golden.py
"""
import contextlib
import copy
import io
import json
import pathlib

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import stats
from sklearn import calibration, metrics

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests/data"
POINTS = {"RBC": 0.45, "WBC": 0.5, "Platelets": 0.3}
RESAMPLES, SEED = 200, 7
MASK = (1 << 64) - 1


def splitmix64(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def draw(seed, number, n):
    key = splitmix64((splitmix64(seed) + number) & MASK)
    return [(splitmix64((key + i) & MASK) >> 32) * n >> 32 for i in range(n)]


def evaluate(truth, detections, thresholds=None):
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = copy.deepcopy(truth)
        gt.createIndex()
        e = COCOeval(gt, gt.loadRes(copy.deepcopy(detections)), "bbox")
        if thresholds:
            e.params.iouThrs = np.array(thresholds)
        e.evaluate()
        e.accumulate()
    return e


def ap_figures(e):
    p = e.eval["precision"][:, :, :, 0, -1]  # IoU, recall, class
    def mean(x):
        x = x[x > -1]
        return float(x.mean()) if x.size else None
    return [mean(p), mean(p[0]), mean(p[5])] + [mean(p[:, :, k]) for k in range(p.shape[2])]


def resampled(truth, detections, ids, drawn):
    t = {"images": [], "annotations": [], "categories": truth["categories"]}
    d = []
    for new, i in enumerate(sorted(drawn)):
        t["images"].append({"id": new + 1})
        for a in truth["annotations"]:
            if a["image_id"] == ids[i]:
                t["annotations"].append(a | {"image_id": new + 1, "id": len(t["annotations"]) + 1})
        d += [x | {"image_id": new + 1} for x in detections if x["image_id"] == ids[i]]
    return t, d


def outcomes(e, category, images):
    """score, right, image of each detection of a class, and the number of truths per image, by pycocotools' matching at IoU 0.5."""
    out, truths = [], np.zeros(len(images), int)
    for record in e.evalImgs:
        if record is None or record["category_id"] != category or record["aRng"] != e.params.areaRng[0]:
            continue
        i = images.index(record["image_id"])
        truths[i] = int((~record["gtIgnore"].astype(bool)).sum())
        for s, m in zip(record["dtScores"], record["dtMatches"][0]):
            out.append((float(s), int(m > 0), i))
    return sorted(out, key=lambda o: -o[0]), truths


def point(out, truths, threshold, weights=None):
    w = np.ones(len(truths), int) if weights is None else weights
    tp = sum(w[i] for s, r, i in out if s >= threshold and r)
    fp = sum(w[i] for s, r, i in out if s >= threshold and not r)
    n = int((w * truths).sum())
    return [tp / (tp + fp), tp / n, 2 * tp / (tp + fp + n), fp / w.sum()]


def iou(a, b):
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return w * h / (a[2] * a[3] + b[2] * b[3] - w * h) if w > 0 and h > 0 else 0.0


def confusion(truth, detections, names):
    """Matches of each class by falling score first, what is left by falling IoU; then scikit-learn's table of the pairs."""
    index = {c["id"]: i for i, c in enumerate(truth["categories"])}
    background, wanted, taken_for = len(index), [], []
    for image in truth["images"]:
        gts = [a for a in truth["annotations"] if a["image_id"] == image["id"]]
        dts = [d for d in detections if d["image_id"] == image["id"] and d["score"] >= POINTS[names[index[d["category_id"]]]]]
        dts.sort(key=lambda d: -d["score"])
        free, left = list(gts), []
        for d in dts:
            best = None
            for g in free:
                if g["category_id"] == d["category_id"] and iou(d["bbox"], g["bbox"]) >= 0.5 and (best is None or iou(d["bbox"], g["bbox"]) >= iou(d["bbox"], best["bbox"])):
                    best = g
            if best is None:
                left.append(d)
            else:
                free.remove(best)
                wanted.append(index[best["category_id"]])
                taken_for.append(index[d["category_id"]])
        pairs = sorted(((iou(d["bbox"], g["bbox"]), a, b) for a, d in enumerate(left) for b, g in enumerate(free)), key=lambda p: -p[0])
        used_d, used_g = set(), set()
        for o, a, b in pairs:
            if o >= 0.5 and a not in used_d and b not in used_g:
                used_d.add(a)
                used_g.add(b)
                wanted.append(index[free[b]["category_id"]])
                taken_for.append(index[left[a]["category_id"]])
        for a, d in enumerate(left):
            if a not in used_d:
                wanted.append(background)
                taken_for.append(index[d["category_id"]])
        for b, g in enumerate(free):
            if b not in used_g:
                wanted.append(index[g["category_id"]])
                taken_for.append(background)
    return metrics.confusion_matrix(wanted, taken_for, labels=list(range(background + 1))).tolist()


def agreement(found, truths):
    d = found - truths
    # Lin 1989 by way of Pearson's r: r times the factor of bias.
    r = stats.pearsonr(truths, found).statistic
    st, sf = truths.std(), found.std()
    factor = 2 * st * sf / (st ** 2 + sf ** 2 + (truths.mean() - found.mean()) ** 2)
    some = truths > 0
    return {"bias": d.mean(), "deviation": d.std(ddof=1), "lower": d.mean() - 1.96 * d.std(ddof=1), "upper": d.mean() + 1.96 * d.std(ddof=1),
            "concordance": r * factor, "mean_error": metrics.mean_absolute_error(truths, found),
            "mean_relative_error": metrics.mean_absolute_percentage_error(truths[some], found[some]),
            "total_relative_error": d.sum() / truths.sum()}


def rules(out, truths):
    """The scores that rules choose, from scikit-learn's curve over detections and missed truths (which score below all)."""
    n, images = int(truths.sum()), len(truths)
    right = sum(r for _, r, _ in out)
    y = [r for _, r, _ in out] + [1] * (n - right)
    s = [x for x, _, _ in out] + [-1.0] * (n - right)
    precision, recall, at = metrics.precision_recall_curve(y, s)
    keep = at > -1
    precision, recall, at = precision[:-1][keep], recall[:-1][keep], at[keep]
    def f(b):
        return (1 + b * b) * precision * recall / np.maximum(b * b * precision + recall, 1e-300)
    false = np.array([sum(1 for x, r, _ in out if x >= t and not r) for t in at]) / images
    def last_best(v):  # of equal ones the highest score
        return float(at[np.flatnonzero(np.abs(v - v.max()) < 1e-15)[-1]])
    found = np.array([sum(1 for x, _, _ in out if x >= t) for t in at])
    return {"count": last_best(-np.abs(found - n).astype(float)), "f1": last_best(f(1)), "fbeta:2": last_best(f(2)), "recall>=0.9": float(at[recall >= 0.9].max()),
            "precision>=0.8": float(at[precision >= 0.8].min()), "fp-per-image<=0.5": float(at[false <= 0.5].min())}


def main():
    truth = json.loads((DATA / "bccd/val.json").read_text())
    detections = json.loads((DATA / "eval/bccd_val_dt.json").read_text())
    ids = sorted(i["id"] for i in truth["images"])
    truth["images"].sort(key=lambda i: i["id"])
    truth["categories"].sort(key=lambda c: c["id"])
    names = [c["name"] for c in truth["categories"]]
    e = evaluate(truth, detections)
    n = len(ids)
    draws = [draw(SEED, r, n) for r in range(RESAMPLES)]
    weights = [np.bincount(d, minlength=n) for d in draws]
    # Slides are called positive by a rule that has nothing to do with scores.
    labels = [int(i % 3 != 0) for i in range(n)]
    # A second set, to be compared: every fourth detection worse.
    other = [d | {"score": round(d["score"] * 0.5, 9)} if k % 4 == 0 else d for k, d in enumerate(detections)]
    other_e = evaluate(truth, other)
    result = {"points": POINTS, "seed": SEED, "resamples": RESAMPLES, "draws": draws[:3], "labels": labels, "classes": []}
    # Copies of an image with ties among its detections are no longer in the order of one image's.
    untied = [d | {"score": d["score"] - k * 1e-9} for k, d in enumerate(detections)]
    result["resampled_ap"] = [ap_figures(evaluate(*resampled(truth, untied, ids, d))) for d in draws[:6]]
    result["confusion"] = confusion(truth, detections, names)
    for c in truth["categories"]:
        out, truths = outcomes(e, c["id"], ids)
        least = POINTS[c["name"]]
        y, s = np.array([r for _, r, _ in out]), np.array([x for x, _, _ in out])
        of_image = np.array([i for _, _, i in out])
        right, mean = calibration.calibration_curve(y, s, n_bins=10)
        bins = np.searchsorted(np.linspace(0, 1, 11)[1:-1], s)
        sizes = np.bincount(bins, minlength=10)
        ece = float((sizes[sizes > 0] / sizes.sum() * np.abs(right - mean)).sum())
        found = np.array([int(((of_image == i) & (s >= least)).sum()) for i in range(n)])
        best = np.array([max([x for x, _, k in out if k == i], default=0.0) for i in range(n)])
        fpr, tpr, _ = metrics.roc_curve(labels, best)
        other_out, _ = outcomes(other_e, c["id"], ids)
        resampled_points = np.array([point(out, truths, least, w) for w in weights])
        f1 = [p[2] for p in resampled_points]
        differences = [point(out, truths, least, w)[2] - point(other_out, truths, least, w)[2] for w in weights]
        false = {}
        for rate in (0.25, 0.5, 1, 2, 4, 8):
            reached = [point(out, truths, x)[1] for x in set(s) if point(out, truths, x)[3] <= rate]
            false[str(rate)] = max(reached, default=0.0)
        k = RESAMPLES + 1
        result["classes"].append({
            "name": c["name"], "truths": int(truths.sum()), "point": point(out, truths, least),
            "curve": [[t, *point(out, truths, t)[:3]] for t in (0.1, 0.3, 0.5, 0.7)],
            "point_intervals": np.percentile(resampled_points, [2.5, 97.5], axis=0).T.tolist(),
            "rules": rules(out, truths), "froc": false, "ece": ece, "bins": [int(v) for v in sizes],
            "bin_precision": right.tolist(), "agreement": agreement(found.astype(float), truths.astype(float)),
            "concordance_interval": None, "auc_of_maximum": float(metrics.roc_auc_score(labels, best)),
            "sensitivity_of_maximum": [float(tpr[1 - fpr >= x].max()) for x in (0.8, 0.9, 0.95)],
            "auc_of_count": float(metrics.roc_auc_score(labels, found)),
            "auc_of_top": float(metrics.roc_auc_score(labels, [sum(sorted((x for x, _, k in out if k == i), reverse=True)[:10]) / 10 for i in range(n)])),
            "f1_difference": float(point(out, truths, least)[2] - point(other_out, truths, least)[2]),
            "f1_difference_interval": np.percentile(differences, [2.5, 97.5]).tolist(),
            "f1_difference_p": min(1.0, 2 * min((1 + sum(d <= 0 for d in differences)) / k, (1 + sum(d >= 0 for d in differences)) / k)),
            "f1_interval": np.percentile(f1, [2.5, 97.5]).tolist(),
        })
        del result["classes"][-1]["concordance_interval"]
    (DATA / "eval/screening.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
    print((DATA / "eval/screening.json").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
