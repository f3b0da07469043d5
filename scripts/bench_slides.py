"""Slides against the network alone, memory and start-up of cytodet on the shipped float model; see bench_slides."""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "models/efficientdet/efficientdet_d0_blood.json"


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def cytodet(program, *arguments):
    return subprocess.run([program, *map(str, arguments)], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def measured(program, *arguments):
    """Wall seconds and peak MiB of a run."""
    start = time.perf_counter()
    child = subprocess.Popen([program, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{arguments} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main():
    program, model, rounds = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]).resolve(), int(sys.argv[3])
    slide = ROOT / "tests/data/slides/blood-mosaic.tif"
    result, shares = {"model": model.name}, []
    with tempfile.TemporaryDirectory() as folder:
        def run(picture, *options):
            out = pathlib.Path(tempfile.mkdtemp(dir=folder))
            return out, measured(program, "detect", "--model", model, picture, "-o", out, "--quiet", *options)
        for _ in range(rounds):
            out, _ = run(slide)
            tiles = json.loads((out / "run.json").read_text())["timing"]["tiles_per_s"]
            shares.append(tiles / json.loads(cytodet(program, "bench", "--model", model, "--seconds", 3, "--json"))["images_per_s"])
        result["slide_share_of_bench"] = spread(shares)
        _, (_, result["slide_peak_mib"]) = run(slide)
        _, (result["big_slide_s"], result["big_slide_peak_mib"]) = run(ROOT / "out/big.tif", "--tile", 2560, "--overlap", 256)
    result["load_ms"] = json.loads(cytodet(program, "bench", "--model", model, "--seconds", 1, "--json"))["load_ms"]
    result["help_ms"] = spread([measured(program, "--help")[0] * 1000 for _ in range(10)])

    def row(text, value):
        return f"| {text} | {value} |"
    lines = ["| | |", "|---|--:|",
             row("slide: tiles/s as a share of the network alone", f"{100 * result['slide_share_of_bench']['median']:.1f} %"),
             row("slide of 50,000 x 50,000 pixels: peak memory", f"{result['big_slide_peak_mib']:.0f} MiB"),
             row("read, optimize and compile", f"{result['load_ms']:.0f} ms"),
             row("`cytodet --help`", f"{result['help_ms']['median']:.0f} ms")]
    (ROOT / "out/bench_slides.json").write_text(json.dumps(result, indent=1) + "\n")
    (ROOT / "out/bench_slides.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
