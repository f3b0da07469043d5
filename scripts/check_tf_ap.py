"""Finds cells with stock TensorFlow: one prediction script for a float graph and its INT8 graph, which keep the names of inputs and outputs.

Prints AP, AP50 and AP75 of both, scored by cytodet evaluate, and the sizes of their files; fails when AP moves by more than --max-drop
or the INT8 file is larger than --max-size of the float one.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

v1 = tf.compat.v1


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fp32", type=pathlib.Path)
    parser.add_argument("int8", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path, help="model file of either")
    parser.add_argument("images", type=pathlib.Path)
    parser.add_argument("truth", type=pathlib.Path)
    parser.add_argument("--max-drop", type=float, default=0.01)
    parser.add_argument("--max-size", type=float, default=0.30)
    parser.add_argument("--max-images", type=int, default=0, help="take the first of the truth only; 0: all")
    parser.add_argument("--cytodet", default="build/release/cytodet")
    return parser.parse_args()


def prepared(path, settings):
    """Letterbox as trained: bilinear without antialiasing, top left, the rest 0 after normalisation."""
    pixels = tf.io.decode_image(tf.io.read_file(str(path)), channels=3, expand_animations=False)
    height, width = pixels.shape[:2]
    scale = min(settings["height"] / height, settings["width"] / width)
    size = (round(height * scale), round(width * scale))
    small = np.rint(tf.image.resize(pixels, size, method="bilinear").numpy())
    image = np.zeros((1, settings["height"], settings["width"], 3), np.float32)
    image[0, :size[0], :size[1]] = (small / 255 - settings["mean"]) / settings["deviation"]
    return image, scale, width, height


def anchors_of(model):
    """Per level [cells * shapes, 4]: centre y, x, height, width."""
    a, side = model["anchors"], model["input"]
    for level in range(a["min_level"], a["max_level"] + 1):
        stride = 2 ** level
        ys, xs = np.meshgrid(np.arange(-(-side["height"] // stride)), np.arange(-(-side["width"] // stride)), indexing="ij")
        rows = []
        for octave in range(a["octaves"]):
            for aspect in a["aspects"]:
                base = a["scale"] * stride * 2 ** (octave / a["octaves"])
                rows.append(np.stack([(ys + .5) * stride, (xs + .5) * stride, np.full(ys.shape, base / aspect ** .5), np.full(ys.shape, base * aspect ** .5)], -1))
        yield np.stack(rows, 2).reshape(-1, 4)


def decoded(logits, deltas, anchors):
    scores = 1 / (1 + np.exp(-np.concatenate([x.reshape(len(a), -1) for x, a in zip(logits, anchors)]).astype(np.float64)))
    d, a = np.concatenate([x.reshape(-1, 4) for x in deltas]).astype(np.float64), np.concatenate(anchors)
    centre, half = d[:, :2] * a[:, 2:] + a[:, :2], np.exp(np.minimum(d[:, 2:], 20)) * a[:, 2:] / 2
    return scores, np.concatenate([centre - half, centre + half], 1)  # y0, x0, y1, x1


def detections_of(graph, files, model):
    rules, found = model["suppression"], []
    anchors, categories = list(anchors_of(model)), model["category_ids"]
    names = [n + ":0" for n in model["class_logits"] + model["box_deltas"]]
    with tf.Graph().as_default() as g:
        tf.graph_util.import_graph_def(graph, name="")
        session = v1.Session(graph=g)
    for image_id, path in files:
        image, scale, width, height = prepared(path, model["input"])
        heads = session.run(names, {model["input"]["node"] + ":0": image})
        half = len(names) // 2
        scores, boxes = decoded(heads[:half], heads[half:], anchors)
        kept = []
        for c, category in enumerate(categories):
            rows = np.flatnonzero(scores[:, c] > rules["score"])
            rows = rows[np.argsort(-scores[rows, c], kind="stable")[:rules["candidates_per_class"]]]
            if len(rows):
                chosen = tf.image.non_max_suppression(boxes[rows].astype("f4"), scores[rows, c].astype("f4"), rules["detections"], rules["iou"]).numpy()
                kept += [(scores[r, c], category, boxes[r]) for r in rows[chosen]]
        for score, category, box in sorted(kept, key=lambda k: -k[0])[:rules["detections"]]:
            y0, x0, y1, x1 = np.clip(box / scale, 0, [height, width, height, width])
            found.append({"image_id": image_id, "category_id": category, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score})
    return found


def figures(program, truth, detections, folder):
    paths = [pathlib.Path(folder, n) for n in ("truth.json", "detections.json", "report.json")]
    for path, content in zip(paths, (truth, detections)):
        path.write_text(json.dumps(content))
    subprocess.run([program, "evaluate", "--truth", paths[0], "--detections", paths[1], "-o", paths[2]], check=True, stdout=subprocess.DEVNULL)
    stats = json.loads(paths[2].read_text())["stats"]
    return [stats[name] for name in ("AP", "AP50", "AP75")]


def main():
    options = arguments()
    model = {"category_ids": None, **json.loads(options.model.read_text())}
    truth = json.loads(options.truth.read_text())
    if options.max_images:
        truth["images"] = truth["images"][:options.max_images]
        ids = {i["id"] for i in truth["images"]}
        truth["annotations"] = [a for a in truth["annotations"] if a["image_id"] in ids]
    files = [(i["id"], options.images / i["file_name"]) for i in truth["images"]]
    aps = []
    for what, path in (("FP32", options.fp32), ("INT8", options.int8)):
        graph = v1.GraphDef()
        graph.ParseFromString(path.read_bytes())
        with tempfile.TemporaryDirectory() as folder:
            stats = figures(options.cytodet, truth, detections_of(graph, files, model), folder)
        aps.append(stats[0])
        print(f"{what}: AP {stats[0]:.4f}, AP50 {stats[1]:.4f}, AP75 {stats[2]:.4f}, {path.stat().st_size / 1e6:.2f} MB", flush=True)
    share = options.int8.stat().st_size / options.fp32.stat().st_size
    print(f"AP drops by {aps[0] - aps[1]:.4f} on {len(files)} images; the file is {100 * share:.1f} % of the float one")
    return int(abs(aps[0] - aps[1]) > options.max_drop or share > options.max_size)


if __name__ == "__main__":
    sys.exit(main())
