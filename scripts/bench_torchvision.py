"""Networks of torchvision, exported to ONNX with random weights of a fixed seed: cytodet against ONNX Runtime, in one run.

Figures are milliseconds of CPU time per run on one thread, medians of rounds in turn. Answers are compared first: outputs of
floats relative to their largest value; of detectors, whose boxes of equal scores have no order, how many of ONNX Runtime's boxes
are there with the same label, a score within 1e-4 and corners, masks and key points within 0.1. Prints how many steps run without a kernel, and
their share of the time."""
import argparse
import pathlib
import sys
import warnings

import numpy as np
import onnxruntime
import torch
import torchvision

import bench_program
from onnx_cases import node_name

M, D = torchvision.models, torchvision.models.detection
PLAIN = {"weights": None}
BARE = {"weights": None, "weights_backbone": None}
# Name: what makes it, and the shape of its image.
CLASSIFIERS = {n: (getattr(M, n), {}, (1, 3, 224, 224)) for n in (
    "resnet18", "mobilenet_v3_large", "shufflenet_v2_x1_0", "mnasnet1_0", "squeezenet1_1", "regnet_x_400mf", "regnet_y_400mf", "efficientnet_b0",
    "efficientnet_v2_s", "convnext_tiny", "swin_t", "swin_v2_t", "maxvit_t", "densenet121", "resnext50_32x4d")}
MAPS = {n: (getattr(M.segmentation, n), BARE, (1, 3, 256, 256)) for n in ("deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large", "fcn_resnet50")}
VOLUMES = {n: (getattr(M.video, n), PLAIN, (1, 3, 8, 112, 112)) for n in ("r3d_18", "mc3_18", "r2plus1d_18")}
SMALL = {"min_size": 320, "max_size": 320}
DETECTORS = {"ssd300_vgg16": (D.ssd300_vgg16, BARE, (1, 3, 300, 300)), "ssdlite320_mobilenet_v3_large": (D.ssdlite320_mobilenet_v3_large, BARE, (1, 3, 320, 320)),
             "retinanet_resnet50_fpn": (D.retinanet_resnet50_fpn, BARE | SMALL, (1, 3, 320, 320)),
             "fcos_resnet50_fpn": (D.fcos_resnet50_fpn, BARE | SMALL | {"score_thresh": 0.07}, (1, 3, 320, 320)),
             "fasterrcnn_mobilenet_v3_large_320_fpn": (D.fasterrcnn_mobilenet_v3_large_320_fpn, BARE | {"box_score_thresh": 0.0110}, (1, 3, 320, 320)),
             "maskrcnn_resnet50_fpn": (D.maskrcnn_resnet50_fpn, BARE | SMALL | {"box_score_thresh": 0.0110}, (1, 3, 320, 320)),
             "keypointrcnn_resnet50_fpn": (D.keypointrcnn_resnet50_fpn, BARE | SMALL | {"box_score_thresh": 0.5}, (1, 3, 320, 320))}
NETWORKS = CLASSIFIERS | MAPS | VOLUMES | DETECTORS


class Map(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)["out"]


def exported(name, folder):
    file = folder / f"{name}.onnx"
    if file.exists():
        return file
    make, options, shape = NETWORKS[name]
    torch.manual_seed(1)
    net = make(**options).eval()
    for norm in net.modules():  # of moving statistics that are not those of nothing
        if isinstance(norm, (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)):
            norm.running_mean.normal_(0, 0.1), norm.running_var.uniform_(0.5, 1.5), norm.weight.data.uniform_(0.7, 1.3), norm.bias.data.normal_(0, 0.1)
    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Map(net) if name in MAPS else net, torch.rand(shape), str(file), opset_version=17, input_names=["x"])
    return file


def boxes_missing(got, wanted):
    """Boxes, scores and labels, by their shapes and types; with masks or key points, those too."""
    def rows(outputs):
        boxes = next(o for o in outputs if o.ndim == 2)
        one = [o for o in outputs if o.ndim == 1]
        labels = next((o for o in one if (o == o.round()).all() and (o.size == 0 or o.max() >= 1)), one[0])
        scores = next(o for o in one if o is not labels)
        return np.concatenate([boxes, scores[:, None], labels[:, None]], 1)
    g, w = rows(got), rows(wanted)
    more = [(a, b) for a, b in zip(got, wanted) if b.ndim > 2]
    left, missing = list(range(len(g))), 0
    for k, row in enumerate(w):
        near = [i for i in left if g[i, 5] == row[5] and abs(g[i, 4] - row[4]) < 1e-4 and np.abs(g[i, :4] - row[:4]).max() < 0.1
                and all(np.abs(a[i] - b[k]).max() < 0.1 for a, b in more)]
        if near:
            left.remove(near[0])
        else:
            missing += 1
    return f"{len(w) - missing} of {len(w)} boxes"


def difference(got, wanted):
    if any(g.shape != w.shape for g, w in zip(got, wanted)):
        return "other shapes"
    return f"{max(float(np.abs(g - w).max() / max(np.abs(w).max(), 1e-30)) for g, w in zip(got, wanted)):.0e}"


def measure(name, options):
    file = exported(name, options.folder)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = 1, 4
    peer = onnxruntime.InferenceSession(str(file), settings, providers=["CPUExecutionProvider"])
    image, names = np.random.default_rng(0).random(NETWORKS[name][2]).astype("f4"), [o.name for o in peer.get_outputs()]
    wanted = peer.run(names, {"x": image})
    same = (boxes_missing if name in DETECTORS else difference)(bench_program.answers(options.program, file, {"x:0": image}, [node_name(n) for n in names]), wanted)

    def bench(*more):
        return bench_program.bench(options.program, file, *more)

    rounds = [(bench("--seconds", options.seconds)["cpu_ms_per_image"], bench_program.cpu_ms(lambda: peer.run(names, {"x": image}), options.seconds))
              for _ in range(options.rounds)]
    ours, theirs = np.median(rounds, axis=0)
    plain = [s["share"] for s in bench("--seconds", 0.1, "--layers", "--rounds", 2)["layers"] if s["kernel"] == "plain"]
    print(f"| {name} | {ours:.2f} | {theirs:.2f} | **{theirs / ours:.2f}x** | {same} | {len(plain)} ({100 * sum(plain):.1f} %) |", flush=True)
    return theirs / ours


def main():
    parser = argparse.ArgumentParser(prog="bench_torchvision", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(NETWORKS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--program", default="build/release/cytodet")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("out/torchvision"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | cytodet, ms | ONNX Runtime, ms | | answers | plain steps (share of time) |\n|---|--:|--:|--:|--:|--:|")
    ratios = []
    for name in options.only.split(","):
        try:
            ratios.append(measure(name, options))
        except RuntimeError as e:
            print(f"| {name} | {e} | | | | |", flush=True)
    if ratios:
        print(f"| geometric mean of {len(ratios)} | | | **{np.exp(np.mean(np.log(ratios))):.2f}x** | | |")
    return int(len(ratios) < len(options.only.split(",")))


if __name__ == "__main__":
    sys.exit(main())
