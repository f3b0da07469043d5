"""The blood-cell classifier with 4-bit weights: what post-training quantization loses, and what label-free retraining gives back.

Loss is one minus the share of images whose best class is that of the float network, and the distance of the probabilities. Fails
unless at least half of both comes back, and unless a retraining of 0 steps leaves the graph as it is.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python"))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cytodet", default=str(ROOT / "build/release/cytodet"))
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "out/retrain")
    parser.add_argument("--rounding", default="nearest", help="of the network that is retrained")
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--rate", type=float, default=1e-4)
    return parser.parse_args()


def load_retrain():
    """cytodet.retrain without the compiled package around it."""
    import importlib.util
    spec = importlib.util.spec_from_file_location("cytodet_retrain", ROOT / "python/cytodet/retrain.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scores(program, model, images, out):
    """By image: list of (class, probability)."""
    import csv
    subprocess.run([program, "classify", "--model", model, images, "--format", "csv", "-o", out, "--quiet", "--top", "3"], check=True)
    with open(out, newline="", encoding="utf-8") as file:
        return {row["filename"]: (row["prediction"], float(row["score"])) for row in csv.DictReader(file)}


def loss_of(scored, wanted):
    other = sum(scored[k][0] != wanted[k][0] for k in wanted) / len(wanted)
    distance = sum(abs(scored[k][1] - wanted[k][1]) if scored[k][0] == wanted[k][0] else 1 for k in wanted) / len(wanted)
    return other, distance


def main():
    o = arguments()
    module = load_retrain()
    shutil.rmtree(o.out, ignore_errors=True)
    o.out.mkdir(parents=True)
    model, cells = ROOT / "models/classification/blood_cells.json", ROOT / "tests/data/cells"
    make = [o.cytodet, "quantize", model, "--images", cells / "calibration", "--weight-bits", "4", "--rounding", o.rounding,
            "--max-images", "100000", "--quiet"]
    subprocess.run([*make, "-o", o.out / "before.pb"], check=True)
    subprocess.run([*make, "-o", o.out / "train.pb", "--fake-quant", "--dump-feeds", o.out / "feeds"], check=True)
    still = module.retrain(o.out / "train.pb", o.out / "still.pb", o.out / "feeds", float_graph=model.with_suffix(".pb"), train_iter=0)
    report = module.retrain(o.out / "train.pb", o.out / "trained.pb", o.out / "feeds", float_graph=model.with_suffix(".pb"),
                            train_iter=o.iterations, learning_rate=o.rate, checkpoints=o.out / "checkpoints", events=o.out / "events")
    print(report)
    again = module.retrain(o.out / "train.pb", o.out / "again.pb", o.out / "feeds", float_graph=model.with_suffix(".pb"),
                           train_iter=o.iterations, learning_rate=o.rate, checkpoints=o.out / "checkpoints")
    if (o.out / "again.pb").read_bytes() != (o.out / "trained.pb").read_bytes() or again.best_step != report.best_step:
        sys.exit("a finished retraining, resumed, gives another graph")
    for name in ("still", "trained"):
        shutil.copy(o.out / "train.json", o.out / f"{name}.json")
        text = (o.out / f"{name}.json").read_text().replace("train.pb", f"{name}.pb")
        (o.out / f"{name}.json").write_text(text)
        subprocess.run([o.cytodet, "quantize", o.out / f"{name}.json", "-o", o.out / f"{name}_int8.pb", "--quiet"], check=True)
    wanted = scores(o.cytodet, model, cells / "val", o.out / "float.csv")
    losses = {name: loss_of(scores(o.cytodet, o.out / f"{file}.json", cells / "val", o.out / f"{file}.csv"), wanted)
              for name, file in (("4 bits", "before"), ("0 steps", "still_int8"), ("retrained", "trained_int8"))}
    for name, (other, distance) in losses.items():
        print(f"{name}: {100 * other:.2f} % of {len(wanted)} images have another best class, probabilities off by {distance:.4f}")
    before, after = losses["4 bits"], losses["retrained"]
    broken = [after[0] > 0.5 * before[0], after[1] > 0.5 * before[1], abs(losses["0 steps"][1] - before[1]) > 0.002,
              still.best_step != 0]
    return int(any(broken))


if __name__ == "__main__":
    sys.exit(main())
