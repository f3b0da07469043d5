"""cytodet against SAHI over OpenVINO on one slide; see bench_end_to_end."""
import argparse
import contextlib
import io
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import cv2
import numpy as np
import openvino as ov
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sahi.models.base import DetectionModel
from sahi.predict import get_sliced_prediction
from sahi.prediction import ObjectPrediction

ROOT = pathlib.Path(__file__).resolve().parent.parent
SLIDE, TRUTH = ROOT / "tests/data/slides/blood-mosaic.tif", ROOT / "tests/data/slides/blood-mosaic.json"
TILE, OVERLAP = 640, 160


def openvino_network(settings, graph):
    """The heads of the frozen graph alone, in the order of the model file."""
    m = ov.Core().read_model(graph)
    results = []
    for head in settings["class_logits"] + settings["box_deltas"]:
        both = (head, head.replace("class_logits", "check_class"))
        results.append(next(o for o in m.outputs if any(name.split(":")[0] in both for name in o.get_names())))
    net = ov.Model(results, [p for p in m.get_parameters() if p.get_friendly_name().startswith(settings["input"]["node"])])
    net.reshape([1, settings["input"]["height"], settings["input"]["width"], 3])
    return net


def anchors_of(settings):
    """Centre y, x, height and width of every anchor."""
    a, side, rows = settings["anchors"], settings["input"]["height"], []
    for level in range(a["min_level"], a["max_level"] + 1):
        stride = 2 ** level
        centres = (np.arange(side // stride) + 0.5) * stride
        y, x = np.meshgrid(centres, centres, indexing="ij")
        for octave in range(a["octaves"]):
            for aspect in a["aspects"]:
                size = a["scale"] * stride * 2 ** (octave / a["octaves"])
                rows.append(np.stack([y, x, np.full_like(y, size / np.sqrt(aspect)), np.full_like(y, size * np.sqrt(aspect))], -1))
        per_level = a["octaves"] * len(a["aspects"])
        rows[-per_level:] = [np.stack(rows[-per_level:], 2).reshape(-1, 4)]
    return np.concatenate(rows)


class OpenVinoDetector(DetectionModel):
    """EfficientDet in OpenVINO for SAHI, as its users write one; NumPy and OpenCV around the network."""

    def __init__(self, settings, graph, precision, threads, **options):
        self.settings, self.threads, self.precision = settings, threads, precision
        self.network = openvino_network(settings, graph)
        self.anchors = anchors_of(settings)
        super().__init__(model_path=str(graph), confidence_threshold=settings["suppression"]["score"], **options)

    def set_device(self, device=None):
        self.device = "cpu"

    def load_model(self):
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": self.threads, "INFERENCE_PRECISION_HINT": self.precision}
        self.model = ov.Core().compile_model(self.network, "CPU", options)
        self.category_mapping = {str(i): name for i, name in enumerate(self.settings["classes"])}

    def perform_inference(self, image):
        i, s = self.settings["input"], self.settings
        scale = i["height"] / max(image.shape[:2])
        resized = cv2.resize(image, (int(image.shape[1] * scale), int(image.shape[0] * scale)), interpolation=cv2.INTER_LINEAR)
        x = np.zeros((1, i["height"], i["width"], 3), np.float32)
        x[0, :resized.shape[0], :resized.shape[1]] = (resized / np.float32(255) - np.array(i["mean"], np.float32)) / np.array(i["deviation"], np.float32)
        heads = [np.asarray(h) for h in self.model({0: x}).values()]
        levels = len(s["class_logits"])
        logits = np.concatenate([h.reshape(-1, len(s["classes"])) for h in heads[:levels]])
        deltas = np.concatenate([h.reshape(-1, 4) for h in heads[levels:]])
        least = s["suppression"]["score"]
        where, category = np.nonzero(logits > np.log(least / (1 - least)))
        a, t, score = self.anchors[where], deltas[where], 1 / (1 + np.exp(-logits[where, category]))
        centre, size = a[:, :2] + t[:, :2] * a[:, 2:], np.exp(t[:, 2:]) * a[:, 2:]
        box = np.concatenate([centre - size / 2, centre + size / 2], 1)[:, [1, 0, 3, 2]] / scale
        box = np.clip(box, 0, [image.shape[1], image.shape[0]] * 2)
        kept = []
        for c in range(len(s["classes"])):
            own = np.nonzero(category == c)[0]
            if len(own):
                xywh = np.concatenate([box[own, :2], box[own, 2:] - box[own, :2]], 1)
                kept.extend(own[cv2.dnn.NMSBoxes(xywh.tolist(), score[own].tolist(), least, s["suppression"]["iou"])].tolist())
        kept = sorted(kept, key=lambda k: -score[k])[:s["suppression"]["detections"]]
        self._original_predictions = box[kept], score[kept], category[kept]

    def _create_object_prediction_list_from_original_predictions(self, shift_amount_list=None, full_shape_list=None):
        shift = (shift_amount_list or [[0, 0]])[0]
        full = full_shape_list[0] if isinstance(full_shape_list[0], (list, tuple)) else full_shape_list
        self._object_prediction_list_per_image = [[
            ObjectPrediction(bbox=b.tolist(), category_id=int(c), category_name=self.category_mapping[str(int(c))], score=float(s),
                             shift_amount=shift, full_shape=full)
            for b, s, c in zip(*self._original_predictions) if b[2] - b[0] > 0.5 and b[3] - b[1] > 0.5]]

    @property
    def num_categories(self):
        return len(self.category_mapping)


def run_sahi(detector, settings):
    """Seconds from the file to merged boxes, and those boxes as COCO results. The network is compiled already."""
    start = time.perf_counter()
    Image.MAX_IMAGE_PIXELS = None
    picture = np.asarray(Image.open(SLIDE).convert("RGB"))
    found = get_sliced_prediction(picture, detector, slice_height=TILE, slice_width=TILE, overlap_height_ratio=OVERLAP / TILE,
                                  overlap_width_ratio=OVERLAP / TILE, perform_standard_pred=False, postprocess_type="NMS",
                                  postprocess_match_metric="IOU", postprocess_match_threshold=settings["suppression"]["iou"], verbose=0)
    seconds = time.perf_counter() - start
    results = [{"image_id": 1, "category_id": settings["category_ids"][p.category.id], "score": p.score.value, "bbox": p.bbox.to_xywh()}
               for p in found.object_prediction_list]
    return seconds, results


def run_cytodet(program, model, options, folder, threads):
    """The same: run.json's wall time, without the model's loading and compiling; and that of the whole process."""
    start = time.perf_counter()
    subprocess.run([program, "detect", "--model", model, SLIDE, "-o", folder, "--truth", TRUTH, "--quiet", "--streams", str(threads), *options],
                   check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - start
    seconds = json.loads((folder / "run.json").read_text())["timing"]["wall_s"]
    return seconds, whole, json.loads((folder / "detections.json").read_text())


def ap_of(truth, results):
    """AP of all boxes: pycocotools' figure at 5,000 boxes an image, whose own summary knows 100 only."""
    with contextlib.redirect_stdout(io.StringIO()):
        e = COCOeval(truth, truth.loadRes(results), "bbox")
        e.params.maxDets = [1, 10, 5000]
        e.evaluate()
        e.accumulate()
    precision = e.eval["precision"][:, :, :, 0, -1]
    return float(precision[precision > -1].mean())


def shared(a, b, least=0.4):
    """The share of a's boxes of at least this score that b has too: same class, IoU of 0.5 or more, each once."""
    a, b = ([r for r in of if r["score"] >= least] for of in (a, b))
    hits = 0
    for r in sorted(a, key=lambda r: -r["score"]):
        best, at = 0.5, None
        x, y, w, h = r["bbox"]
        for k, o in enumerate(b):
            if o["category_id"] != r["category_id"]:
                continue
            p, q, s, t = o["bbox"]
            i = max(0, min(x + w, p + s) - max(x, p)) * max(0, min(y + h, q + t) - max(y, q))
            iou = i / (w * h + s * t - i)
            if iou >= best:
                best, at = iou, k
        if at is not None:
            hits += 1
            del b[at]
    return hits / max(1, len(a)), len(a)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--program", default=str(ROOT / "build/release/cytodet"))
    arguments.add_argument("--model")
    o = arguments.parse_args()
    threads = len(os.sched_getaffinity(0))
    base = pathlib.Path(o.model or ROOT / "models/efficientdet/efficientdet_d0_blood.json").resolve()
    settings = json.loads(base.read_text())
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    ours = {"cytodet, float": (base, ["--tile", str(TILE), "--overlap", str(OVERLAP)])}
    if not o.model:
        int8 = out / "end_to_end_int8.json"
        if not int8.exists():
            subprocess.run([o.program, "quantize", base, "--images", ROOT / "tests/data/bccd", "-o", int8.with_suffix(".pb"), "--quiet"],
                           check=True, stdout=subprocess.DEVNULL)
        ours["cytodet, INT8"] = (int8, ["--tile", str(TILE), "--overlap", str(OVERLAP)])
        ours["cytodet, INT8, network of 1280 pixels"] = (int8, ["--network-px", "1280", "--tile", "1600", "--overlap", "80", "--fit-edges"])
    theirs = {f"SAHI over OpenVINO, {p}": OpenVinoDetector(settings, base.parent / settings["graph"], p, threads) for p in ("f32", "bf16")}
    rows = {name: {"seconds": [], "whole": []} for name in [*theirs, *ours]}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(o.rounds + 1):  # the first warms up
            for name, detector in theirs.items():
                seconds, rows[name]["results"] = run_sahi(detector, settings)
                rows[name]["seconds"] += [seconds] * (i > 0)
            for name, (model, options) in ours.items():
                seconds, whole, rows[name]["results"] = run_cytodet(o.program, model, options, pathlib.Path(folder, f"{len(name)}-{i}"), threads)
                rows[name]["seconds"] += [seconds] * (i > 0)
                rows[name]["whole"] += [whole] * (i > 0)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(TRUTH)
    image = truth.getImgIds()[0]
    fastest = min(statistics.median(rows[n]["seconds"]) for n in theirs)
    reference = rows["SAHI over OpenVINO, f32"]["results"]
    megapixels = np.prod(Image.open(SLIDE).size) / 1e6
    lines = ["| | s | megapixels/s | times the faster SAHI | AP | boxes of 0.4 or more | of these SAHI's f32 has |", "|---|--:|--:|--:|--:|--:|--:|"]
    for name, row in rows.items():
        for r in row["results"]:
            r["image_id"] = image
        seconds = statistics.median(row["seconds"])
        share, count = shared(row["results"], reference)
        row.update({"median_s": seconds, "ap": ap_of(truth, row["results"]), "boxes": count, "shared": share, "times": fastest / seconds})
        lines.append(f"| {name} | {seconds:.3f} ({min(row['seconds']):.3f}-{max(row['seconds']):.3f}) | {megapixels / seconds:.1f} | "
                     f"{fastest / seconds:.2f} | {row['ap']:.4f} | {count} | {100 * share:.1f} % |")
        del row["results"]
    (out / "bench_end_to_end.json").write_text(json.dumps(rows, indent=1) + "\n")
    (out / "bench_end_to_end.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
