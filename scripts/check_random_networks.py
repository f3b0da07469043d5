"""Makes N random convolutional networks (make_random_networks.py), and runs each

  in float: the compiled plan must be within 2e-5 of the largest value of TensorFlow's answers (--float-difference);
  in INT8: quantized on three feeds, the compiled plan of the file against the plain interpretation of its frozen-range graph.
  Where a value lies half-way between two quantization steps, the two may round it apart, and what is behind it differs by what a
  step makes; swish is as exact as half a step. So answers pass that are at least --int8-decibels of each other, or differ no more
  than quantization itself makes them; wrong ones are much further off.

Prints each network that differs or is refused, with its blocks; its folder is kept below --folder. The last lines count."""
import argparse
import collections
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np

import make_random_networks as files
import random_network_maker as maker

NO_LAYER = ("no convolution", "MatMul to quantize")  # of what `quantize` says of a network without layers that it takes


class Refused(Exception):
    pass


def command(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or [f"exit code {done.returncode}"]
        raise Refused(f"{arguments[0]}: {lines[-1]}")


def infer(program, graph, folder, *options):
    case, out = folder / "case.json", folder / "answer.json"
    names = list(json.loads(case.read_text())["outputs"])
    command(program, "infer", graph, "--feeds", case, "--outputs", ",".join(names), "-o", out, *options)
    outputs = json.loads(out.read_text())["outputs"]
    return [np.array([float(v) for v in outputs[n]["data"]], "f8").reshape(outputs[n]["shape"]) for n in names]


def difference(got, wanted):
    """The largest, relative to the largest value wanted, of all outputs."""
    worst = 0.0
    for g, w in zip(got, wanted):
        if g.shape != w.shape:
            raise Refused(f"shape {g.shape}, TensorFlow's is {w.shape}")
        worst = max(worst, float(np.abs(g - w).max() / max(np.abs(w).max(), 1e-30)))
    return worst if np.isfinite(worst) else np.inf


def decibels(got, wanted):
    """Signal to noise, least of all outputs."""
    return min(float(10 * np.log10((w ** 2).sum() / max(((g - w) ** 2).sum(), 1e-30))) for g, w in zip(got, wanted))


def calibration_feeds(folder, feeds, rng):
    """Three, the network's own among them: values like its own in another order."""
    folder.mkdir(exist_ok=True)
    for i in range(3):
        own = {k: v if i == 0 else rng.permuted(v.ravel()).reshape(v.shape) for k, v in feeds.items()}
        (folder / f"{i}.json").write_text(json.dumps({"inputs": {k + ":0": files.tensor(v) for k, v in own.items()}}))
    return folder


def check(seed, options, totals):
    """What is wrong with the network of that seed, as lines."""
    definition, feeds, outputs, answers, blocks = maker.network(seed, options.small, options.rank)
    folder, wrong = options.folder / f"{seed:05d}", []
    files.write(folder, definition, feeds, outputs, answers)
    graph, program = folder / "graph.pb", options.program
    wanted = [np.asarray(a, "f8") for a in answers]
    try:
        got = infer(program, graph, folder)
        totals["float"].append(difference(got, wanted))
        if not totals["float"][-1] <= options.float_difference:
            wrong.append(f"float: {totals['float'][-1]:.1e} of the largest value, plain {difference(infer(program, graph, folder, '--plain'), wanted):.1e}")
    except Refused as e:
        wrong.append(str(e))
    if not options.float_only:
        wrong += check_int8(folder, feeds, outputs, wanted, options, totals, np.random.default_rng(seed))
    if not wrong:
        shutil.rmtree(folder)
    return [f"{seed} ({', '.join(blocks)}): {line}" for line in wrong]


def check_int8(folder, feeds, outputs, wanted, options, totals, rng):
    int8, program = folder / "int8.pb", options.program
    try:
        images = calibration_feeds(folder / "images", feeds, rng)
        command(program, "quantize", folder / "graph.pb", "--images", images, "--quiet", "--no-search", "--force", "-o", int8,
                "--outputs", ",".join(outputs), "--dump-dir", folder / "stages", *options.quantize.split())
    except Refused as e:
        if any(text in str(e) for text in NO_LAYER):
            totals["no layer"].append(0)
            return []
        return [str(e)]
    try:
        plain = infer(program, folder / "stages/int8_frozen_range_graph.pb", folder, "--plain")
        equal = decibels(infer(program, int8, folder), plain)
    except Refused as e:
        return [f"INT8 {e}"]
    totals["INT8"].append(equal)
    totals["INT8 to float"].append(decibels(plain, wanted))
    enough = min(options.int8_decibels, totals["INT8 to float"][-1] - 3)
    return [] if equal >= enough else [f"INT8: {equal:.1f} dB of the plain run, which is at {totals['INT8 to float'][-1]:.1f} dB of float"]


def main():
    parser = argparse.ArgumentParser(prog="check_random_networks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, metavar="N")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=lambda s: [int(v) for v in s.split(",")], help="these alone")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--rank", type=int, choices=(3, 4, 5), help="of the maps; drawn without it")
    parser.add_argument("--float-only", action="store_true")
    parser.add_argument("--float-difference", type=float, default=2e-5)
    parser.add_argument("--int8-decibels", type=float, default=30)
    parser.add_argument("--quantize", default="", help="further options of quantize")
    parser.add_argument("--program", default="build/release/cytodet")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("out/random_networks"))
    options = parser.parse_args()
    totals, bad = collections.defaultdict(list), 0
    seeds = options.seeds or range(options.first, options.first + options.count)
    for seed in seeds:
        lines = check(seed, options, totals)
        bad += bool(lines)
        for line in lines:
            print(line, flush=True)
    print(f"{len(seeds)} networks, {bad} differ or are refused; {len(totals['no layer'])} without a layer for INT8")
    for name, unit in (("float", ""), ("INT8", " dB"), ("INT8 to float", " dB")):
        if totals[name]:
            least, middle, largest = np.percentile(totals[name], [0, 50, 100])
            print(f"{name}: {least:.2g} to {largest:.2g}{unit}, median {middle:.2g}{unit}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
