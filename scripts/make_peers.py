"""Makes a detector network in the peers' forms; bench_peers measures them. A form is kept once made: delete its folder to make it anew.

cytodet_int8.json         cytodet's own INT8, by its defaults
openvino_f32.xml          OpenVINO, float, read from the .pb
openvino_onnx_f32.xml     the same read from the .onnx
openvino_int8.xml         quantized by NNCF: mixed preset, otherwise its defaults
onnx_f32.onnx             ONNX, float, exported by tf2onnx
onnx_int8.onnx            quantized by ONNX Runtime: QDQ, u8 values, s8 filters per channel, ranges by min-max
tflite_f32.tflite         TensorFlow Lite, float
tflite_int8.tflite        quantized by its converter, float at its ends

A CPU without VNNI adds pairs of u8 x s8 products in 16 bits, which saturates: answers are then far off. Hence the peers' own remedies too:

openvino_int8_fix.xml     overflow_fix of NNCF: filters of seven bits
onnx_int8_u8u8.onnx       u8 filters, which ONNX Runtime multiplies in full (s8 values would be as exact, but were three times slower on AVX2)

All are calibrated on the same evenly spaced images.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import cv2
import numpy as np


def evenly(folder, count):
    """count files of a folder, evenly spaced in the sorted list."""
    files = sorted(f for f in pathlib.Path(folder).iterdir() if f.suffix.lower() in (".jpg", ".jpeg", ".png"))
    count = min(count, len(files))
    if not count:
        raise SystemExit(f"bench_peers: error: {folder} holds no images")
    return [files[i * len(files) // count] for i in range(count)]


class FrozenGraph:
    """A frozen graph of one input of `shape`, the outputs that are asked for, where its forms lie, and what they are calibrated on."""

    def __init__(self, graph, input, shape, heads, folder, samples=()):
        self.graph, self.input, self.shape, self.heads, self.folder = pathlib.Path(graph), input, list(shape), heads, pathlib.Path(folder)
        self.samples = samples

    def calibration(self):
        yield from self.samples


class Network(FrozenGraph):
    """A detector by its model file."""

    def __init__(self, program, model, folder, images, count):
        self.program, self.model, self.images, self.count = program, pathlib.Path(model), images, count
        self.settings = json.loads(self.model.read_text())
        self.height, self.width = self.settings["input"]["height"], self.settings["input"]["width"]
        super().__init__((self.model.parent / self.settings["graph"]).resolve(), self.settings["input"]["node"].split(":")[0],
                         [1, self.height, self.width, 3], self.settings["class_logits"] + self.settings["box_deltas"], folder)

    def feed(self, file):
        """An image as detect feeds it: RGB, 8-bit bilinear letterbox at the top left, normalised, the rest zero."""
        picture = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        height, width = picture.shape[:2]
        scale = min(self.height / height, self.width / width)
        picture = cv2.resize(picture, (int(width * scale), int(height * scale)), interpolation=cv2.INTER_LINEAR)
        out = np.zeros((1, self.height, self.width, 3), "f4")
        out[0, :picture.shape[0], :picture.shape[1]] = (picture / 255 - self.settings["input"]["mean"]) / self.settings["input"]["deviation"]
        return out

    def calibration(self):
        for file in evenly(self.images, self.count):
            yield self.feed(file)


def make_cytodet_int8(n, out):
    subprocess.run([n.program, "quantize", n.model, "--images", n.images, "--max-images", str(n.count), "-o", out.with_suffix(".pb"), "--quiet"],
                   check=True, stdout=subprocess.DEVNULL)


def make_openvino_f32(n, out):
    import openvino as ov
    m = ov.Core().read_model(n.graph)
    # Only the heads, in order: the graph may also hold a training branch. The reader names some heads by the node before.
    results = []
    for head in n.heads:
        both = (head, head.replace("class_logits", "check_class"))
        results.append(next(o for o in m.outputs if any(name.split(":")[0] in both for name in o.get_names())))
    net = ov.Model(results, [p for p in m.get_parameters() if p.get_friendly_name().startswith(n.input)])
    net.reshape(n.shape)
    ov.save_model(net, out, compress_to_fp16=False)


def make_openvino_onnx_f32(n, out):
    import openvino as ov
    ov.save_model(ov.Core().read_model(n.folder / "onnx_f32.onnx"), out, compress_to_fp16=False)


def make_openvino_int8(n, out, fix=False):
    import nncf
    import openvino as ov
    data = list(n.calibration())
    advanced = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE) if fix else None
    net = nncf.quantize(ov.Core().read_model(n.folder / "openvino_f32.xml"), nncf.Dataset(data), preset=nncf.QuantizationPreset.MIXED,
                        subset_size=len(data), advanced_parameters=advanced)
    ov.save_model(net, out, compress_to_fp16=False)


def make_onnx_f32(n, out):
    subprocess.run([os.environ["ONNX_EXPORT_PYTHON"], "-m", "tf2onnx.convert", "--graphdef", n.graph, "--inputs",
                    f"{n.input}:0[{','.join(map(str, n.shape))}]", "--outputs", ",".join(h + ":0" for h in n.heads), "--opset", "17", "--output", out],
                   check=True, stdout=sys.stderr)


def make_onnx_int8(n, out, filters="QInt8"):
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.images = n.calibration()

        def get_next(self):
            image = next(self.images, None)
            return None if image is None else {n.input + ":0": image}

    prepared = out.with_name("prepared.onnx")
    quant_pre_process(n.folder / "onnx_f32.onnx", prepared, skip_symbolic_shape=True)
    quantize_static(prepared, out, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, calibrate_method=CalibrationMethod.MinMax,
                    activation_type=QuantType.QUInt8, weight_type=QuantType[filters])
    prepared.unlink()


def make_tflite(n, out, int8=False):
    """The converter lives in TensorFlow's environment, which peer_worker runs in."""
    job = {"graph": str(n.graph), "input": n.input, "heads": n.heads, "shape": n.shape, "out": str(out), "images": []}
    with tempfile.TemporaryDirectory() as folder:
        if int8:
            for i, image in enumerate(n.calibration()):
                job["images"].append(str(pathlib.Path(folder, f"{i}.npy")))
                np.save(job["images"][-1], image)
        file = pathlib.Path(folder, "job.json")
        file.write_text(json.dumps(job))
        subprocess.run([os.environ["ONNX_EXPORT_PYTHON"], pathlib.Path(__file__).with_name("peer_worker.py"), "convert-tflite", file], check=True,
                       stdout=sys.stderr)


# In this order: some are made from others.
FORMS = {
    "cytodet_int8.json": make_cytodet_int8,
    "onnx_f32.onnx": make_onnx_f32,
    "openvino_f32.xml": make_openvino_f32,
    "openvino_onnx_f32.xml": make_openvino_onnx_f32,
    "openvino_int8.xml": make_openvino_int8,
    "openvino_int8_fix.xml": lambda n, out: make_openvino_int8(n, out, fix=True),
    "onnx_int8.onnx": make_onnx_int8,
    "onnx_int8_u8u8.onnx": lambda n, out: make_onnx_int8(n, out, "QUInt8"),
    "tflite_f32.tflite": make_tflite,
    "tflite_int8.tflite": lambda n, out: make_tflite(n, out, int8=True),
}


def is_there(network, name):
    form = network.folder / name
    if not form.exists():
        return False
    program = name.startswith("cytodet") and shutil.which(network.program)
    return not program or form.stat().st_mtime > pathlib.Path(program).stat().st_mtime


def make(network, wanted):
    """Makes the wanted forms that are not there, and of cytodet's own those of an older program; returns those that could not be made, with the reason."""
    network.folder.mkdir(parents=True, exist_ok=True)
    problems = {}
    for name, make_form in FORMS.items():
        if name not in wanted or is_there(network, name):
            continue
        print(f"making {network.folder.name}/{name}", file=sys.stderr, flush=True)
        try:
            with tempfile.TemporaryDirectory(dir=network.folder) as folder:
                make_form(network, pathlib.Path(folder, name))
                # Weights first: the name that is looked for comes last.
                for file in sorted(pathlib.Path(folder).iterdir(), key=lambda f: f.name == name):
                    shutil.move(file, network.folder / file.name)
        except Exception as problem:  # a peer that cannot read the graph is a line of the report, not the end of it
            problems[name] = f"{type(problem).__name__}: {str(problem).splitlines()[0] if str(problem) else ''}"
            print(f"{name} cannot be made: {problems[name]}", file=sys.stderr, flush=True)
    return problems
