"""Raw heads of a detector in INT8 against float, in dB: quantized with the defaults on some of IMAGES, run on some of them that are
spread evenly.

Classes and boxes are a group each, with its mean removed, as scripts/bench_peers has them. Fails below --min-db on images.
"""
import argparse
import json
import math
import pathlib
import shutil
import subprocess
import sys

import numpy as np


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("images", type=pathlib.Path)
    parser.add_argument("--calibrate-on", type=int, default=100)
    parser.add_argument("--measure-on", type=int, default=12)
    parser.add_argument("--full-range", action="store_true", help="quantize --full-range")
    parser.add_argument("--min-db", type=float, default=27)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/int8_heads"))
    parser.add_argument("--cytodet", default="build/release/cytodet")
    return parser.parse_args()


def heads_of(o, graph, feed, settings):
    names = settings["class_logits"] + settings["box_deltas"]
    feeds, answer = o.out / "feeds.json", o.out / "answer.json"
    node = settings["input"]["node"].split(":")[0]
    feeds.write_text(json.dumps({"inputs": {f"{node}:0": {"dtype": "float32", "shape": list(feed.shape), "data": feed.ravel().tolist()}}}))
    subprocess.run([o.cytodet, "infer", graph, "--feeds", feeds, "--outputs", ",".join(names), "-o", answer], check=True,
                   stdout=subprocess.DEVNULL)
    outputs = json.loads(answer.read_text())["outputs"]
    half = len(names) // 2
    return [np.concatenate([np.asarray(outputs[n]["data"], "f8") for n in group]) for group in (names[:half], names[half:])]


def db(pairs):
    exact, other = (np.concatenate(x) for x in zip(*pairs))
    return 10 * math.log10(np.square(exact - exact.mean()).sum() / np.square(exact - other).sum())


def main():
    o = arguments()
    shutil.rmtree(o.out, ignore_errors=True)
    o.out.mkdir(parents=True)
    settings = json.loads(o.model.read_text())
    subprocess.run([o.cytodet, "quantize", o.model, "--images", o.images, "--max-images", str(o.calibrate_on), "-o", o.out / "int8.pb",
                    *(["--full-range"] if o.full_range else []), "--quiet"], check=True)
    subprocess.run([o.cytodet, "quantize", o.model, "--images", o.images, "--max-images", str(o.measure_on), "--rounding", "nearest",
                    "--fake-quant", "-o", o.out / "feeds.pb", "--dump-feeds", o.out / "feeds", "--no-search", "--quiet"], check=True,
                   stdout=subprocess.DEVNULL)
    feeds = [np.load(f) for f in sorted((o.out / "feeds").glob("0*.npy"))]
    both = [list(zip(heads_of(o, o.model.parent / settings["graph"], x, settings), heads_of(o, o.out / "int8.pb", x, settings)))
            for x in feeds]
    classes, boxes = (db([pair[group] for pair in both]) for group in (0, 1))
    print(f"raw heads on {len(feeds)} images: classes {classes:.1f} dB, boxes {boxes:.1f} dB (at least {o.min_db:g})")
    return int(not min(classes, boxes) >= o.min_db)


if __name__ == "__main__":
    sys.exit(main())
