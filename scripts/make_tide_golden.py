"""Makes tests/data/eval/tide.json: what tidecv says of the sets that the tests have. Detections of the photographs are made by the
program first (tests/data/eval/bccd_val_dt.json, kept).

usage: $(scripts/oracle_env tide) scripts/make_tide_golden.py
"""
import json
import pathlib
import subprocess
import tempfile

from tidecv import TIDE, Data
from tidecv.errors.qualifiers import AREA

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests/data"


def photographs():
    path = DATA / "eval/bccd_val_dt.json"
    if not path.exists():
        with tempfile.TemporaryDirectory() as out:
            subprocess.run(["build/release/cytodet", "detect", "--model", "models/efficientdet/efficientdet_d0_blood.json",
                            *sorted(map(str, (DATA / "bccd").glob("*.jpg"))), "--truth", "tests/data/bccd/val.json", "-o", out, "--quiet"], check=True)
            found = json.loads(pathlib.Path(out, "detections.json").read_text())
        # Few digits: small, and scores tie.
        found = [{**d, "bbox": [round(v, 1) for v in d["bbox"]], "score": round(d["score"], 3)} for d in found if d["score"] > 0.06]
        path.write_text("[" + ",\n".join(json.dumps(d, separators=(",", ":")) for d in found) + "]\n")
    return json.loads(path.read_text())


def tiles():
    lines = [line.split() for line in (DATA / "tiling/merge/blood-mosaic-640-160.txt").read_text().splitlines()]
    return [{"image_id": 1, "category_id": int(c) + 1, "bbox": [float(x0), float(y0), float(x1) - float(x0), float(y1) - float(y0)], "score": float(s)}
            for _, c, s, x0, y0, x1, y1, _ in lines]


def data_of(truth, detections, max_dets):
    gt, found = Data("truth", max_dets), Data("found", max_dets)
    for image in sorted(truth["images"], key=lambda i: i["id"]):
        gt.add_image(image["id"], image["file_name"])
    for c in truth["categories"]:
        gt.add_class(c["id"], c["name"])
    for a in truth["annotations"]:
        (gt.add_ignore_region if a.get("iscrowd") else gt.add_ground_truth)(a["image_id"], a["category_id"], a["bbox"])
    for d in detections:
        found.add_detection(d["image_id"], d["category_id"], d["score"], d["bbox"])
    return gt, found


def answer(name, truth, detections, max_dets):
    gt, found = data_of(truth, detections, max_dets)
    run = TIDE().evaluate(gt, found, mode=TIDE.BOX)
    short = lambda errors: {e.short_name: v for e, v in errors.items()}
    ids = sorted(c["id"] for c in truth["categories"])
    base = [run.ap_data.objs[c].get_ap() for c in ids]
    gains = {}
    for kind in TIDE._error_types:
        fixed = run.fix_errors(lambda e: isinstance(e, kind))
        gains[kind.short_name] = [fixed.objs[c].get_ap() - b for c, b in zip(ids, base)]
    sizes = [{"counts": {k.short_name: sum(map(q._make_error_func(k), run.errors)) for k in TIDE._error_types}, "gains": short(run.fix_main_errors(qual=q))}
             for q in AREA]
    print(f"{name}: AP {run.ap:.4f}", short(run.count_errors()))
    return {"name": name, "max_dets": max_dets, "ap": run.ap, "counts": short(run.count_errors()), "gains": short(run.fix_main_errors()),
            "special": short(run.fix_special_errors()), "sizes": sizes, "class_ap": base, "class_gains": gains}


def main():
    read = lambda name: json.loads((DATA / name).read_text())
    answers = [answer("synthetic200", read("eval/synthetic200_gt.json"), read("eval/synthetic200_dt.json"), 100),
               answer("bccd", read("bccd/val.json"), photographs(), 100),
               answer("mosaic_tiles", read("slides/blood-mosaic.json"), tiles(), 10000)]
    for i, case in enumerate(read("eval/traps.json")):
        if case["max_dets"] == [1, 10, 100] and case["use_categories"]:
            answers.append(answer(f"traps {i}", case["truth"], case["detections"], 100 if i % 8 else 5))
    (DATA / "eval/tide.json").write_text(json.dumps(answers, separators=(",", ":")))
    print((DATA / "eval/tide.json").stat().st_size, "bytes")


main()
