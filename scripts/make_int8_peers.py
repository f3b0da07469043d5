"""Makes the shipped D0 network in the peers' forms, in out/peers; bench_int8 measures them.

d0_f32.xml   OpenVINO IR, float
d0_int8.xml  the same quantized by NNCF: mixed preset, otherwise its defaults
d0_f32.onnx  ONNX, float, exported by tf2onnx
d0_int8.onnx the same quantized by ONNX Runtime: QDQ, u8 values, s8 filters per channel, ranges by min-max

A CPU without VNNI adds pairs of u8 x s8 products in 16 bits, which saturates: both answers above are then far off. Hence the peers' own remedies too:

d0_int8_fix.xml   overflow_fix of NNCF: filters of seven bits
d0_int8_u8u8.onnx u8 filters, which ONNX Runtime multiplies in full (its default, s8 values, does too, but was three times slower than u8 on AVX2)

All are calibrated on the same 100 evenly spaced images of BCCD's train set. What is there already is kept: delete out/peers to make it anew.
Run: "$(scripts/oracle_env int8_peers)" scripts/make_int8_peers.py
"""
import json
import pathlib
import shutil
import subprocess
import tempfile

import cv2
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "models/efficientdet/efficientdet_d0_blood.json"
GRAPH = ROOT / "models/efficientdet/efficientdet_d0_blood.pb"
IMAGES = ROOT.parent / "shared/data/bccd"
PEERS = ROOT / "out/peers"
HEADS = [f"class_logits_{i}" for i in range(3, 8)] + [f"box_deltas_{i}" for i in range(3, 8)]
SIZE = 512


def evenly(folder, count):
    """count files of a folder, evenly spaced in the sorted list."""
    files = sorted(folder.glob("*.jpg"))
    if len(files) < count:
        raise SystemExit(f"{folder} holds {len(files)} images, {count} are needed")
    return [files[i * len(files) // count] for i in range(count)]


def network_input(file):
    """An image as detect feeds it: RGB, 8-bit bilinear letterbox at the top left, normalised, the rest zero."""
    settings = json.loads(MODEL.read_text())["input"]
    picture = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
    height, width = picture.shape[:2]
    scale = min(SIZE / height, SIZE / width)
    picture = cv2.resize(picture, (int(width * scale), int(height * scale)), interpolation=cv2.INTER_LINEAR)
    out = np.zeros((1, SIZE, SIZE, 3), "f4")
    out[0, :picture.shape[0], :picture.shape[1]] = (picture / 255 - settings["mean"]) / settings["deviation"]
    return out


def calibration():
    for file in evenly(IMAGES / "train", 100):
        yield network_input(file)


def make_openvino_f32(out):
    import openvino as ov
    m = ov.Core().read_model(GRAPH)
    # Only the heads, in order: the graph also holds a training branch. The reader names some heads by the node before.
    names = [(h, h.replace("class_logits", "check_class")) for h in HEADS]
    results = [next(o for o in m.outputs if any(n.split(":")[0] in both for n in o.get_names())) for both in names]
    net = ov.Model(results, [p for p in m.get_parameters() if p.get_friendly_name().startswith("image")])
    net.reshape([1, SIZE, SIZE, 3])
    ov.save_model(net, out, compress_to_fp16=False)


def make_openvino_int8(out, fix=False):
    import nncf
    import openvino as ov
    data = nncf.Dataset(list(calibration()))
    advanced = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE) if fix else None
    net = nncf.quantize(ov.Core().read_model(PEERS / "d0_f32.xml"), data, preset=nncf.QuantizationPreset.MIXED, subset_size=100,
                        advanced_parameters=advanced)
    ov.save_model(net, out, compress_to_fp16=False)


def make_onnx_f32(out):
    python = subprocess.run([ROOT / "scripts/oracle_env", "onnx_export"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    subprocess.run([python, "-m", "tf2onnx.convert", "--graphdef", GRAPH, "--inputs", f"image:0[1,{SIZE},{SIZE},3]",
                    "--outputs", ",".join(h + ":0" for h in HEADS), "--opset", "17", "--output", out], check=True)


def make_onnx_int8(out, filters="QInt8"):
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.images = calibration()

        def get_next(self):
            image = next(self.images, None)
            return None if image is None else {"image:0": image}

    prepared = out.with_name("prepared.onnx")
    quant_pre_process(PEERS / "d0_f32.onnx", prepared, skip_symbolic_shape=True)
    quantize_static(prepared, out, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, calibrate_method=CalibrationMethod.MinMax,
                    activation_type=QuantType.QUInt8, weight_type=QuantType[filters])
    prepared.unlink()


def main():
    PEERS.mkdir(parents=True, exist_ok=True)
    forms = {"d0_f32.xml": make_openvino_f32, "d0_int8.xml": make_openvino_int8, "d0_int8_fix.xml": lambda out: make_openvino_int8(out, fix=True),
             "d0_f32.onnx": make_onnx_f32, "d0_int8.onnx": make_onnx_int8, "d0_int8_u8u8.onnx": lambda out: make_onnx_int8(out, "QUInt8")}
    for name, make in forms.items():
        if (PEERS / name).exists():
            continue
        print(f"making {name}", flush=True)
        with tempfile.TemporaryDirectory(dir=PEERS) as folder:
            make(pathlib.Path(folder, name))
            # An IR's weights first: the name that is looked for comes last.
            for file in sorted(pathlib.Path(folder).iterdir(), key=lambda f: f.name == name):
                shutil.move(file, PEERS / file.name)


if __name__ == "__main__":
    main()
