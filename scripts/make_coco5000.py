"""Writes a COCO-sized scoring problem: 5,000 images, 80 classes, about 35,000 truth boxes and 300,000 detections.

usage: make_coco5000.py FOLDER   -> FOLDER/truth.json, FOLDER/detections.json (about 41 MB); deterministic, no packages needed
"""
import json
import pathlib
import random
import sys


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(5000)
    weights = [1 / (c + 2) for c in range(80)]
    images = [{"id": i * 7 + 1, "file_name": f"{i:012d}.jpg", "width": 640, "height": 480} for i in range(5000)]
    annotations, detections = [], []
    for image in images:
        for _ in range(max(0, int(rng.expovariate(1 / 7.5)))):
            category = rng.choices(range(80), weights)[0] + 1
            w, h = min(600, rng.lognormvariate(4.2, 0.9)), min(450, rng.lognormvariate(4.2, 0.9))
            x, y = rng.uniform(0, 640 - w), rng.uniform(0, 480 - h)
            annotations.append({"id": len(annotations) + 1, "image_id": image["id"], "category_id": category, "bbox": [round(v, 2) for v in (x, y, w, h)],
                                "area": round(w * h * rng.uniform(0.5, 1), 2), "iscrowd": int(rng.random() < 0.01)})
            for _ in range(rng.randint(1, 4)):
                s = rng.choice([0.05, 0.15, 0.4])
                box = [x + rng.gauss(0, s) * w, y + rng.gauss(0, s) * h, max(1, w * (1 + rng.gauss(0, s))), max(1, h * (1 + rng.gauss(0, s)))]
                detections.append({"image_id": image["id"], "category_id": category, "bbox": [round(v, 10) for v in box], "score": rng.random() ** 0.7})
        for _ in range(43):
            w, h = rng.lognormvariate(4, 0.9), rng.lognormvariate(4, 0.9)
            detections.append({"image_id": image["id"], "category_id": rng.choices(range(80), weights)[0] + 1,
                               "bbox": [round(v, 10) for v in (rng.uniform(0, 600), rng.uniform(0, 440), w, h)], "score": rng.random() ** 2 * 0.5})
    categories = [{"id": c, "name": f"class {c}"} for c in range(1, 81)]
    (folder / "truth.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    (folder / "detections.json").write_text(json.dumps(detections))
    print(len(annotations), "truth boxes,", len(detections), "detections,", (folder / "detections.json").stat().st_size, "bytes")


if __name__ == "__main__":
    main()
