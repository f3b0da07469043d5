"""Slides against the network alone, memory and start-up of cytodet on the shipped float model; see bench_slides."""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPIES = 4  # of the slide, one after the other
TILES = (("--tile", "512", "--overlap", "128"), ("--tile", "640", "--overlap", "160"))  # without and with resizing


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
    result = {"model": model.name}
    with tempfile.TemporaryDirectory() as folder:
        slides = pathlib.Path(folder, "slides")
        slides.mkdir()
        for i in range(COPIES):
            shutil.copy(slide, slides / f"{i}.tif")

        def run(picture, *options):
            out = pathlib.Path(tempfile.mkdtemp(dir=folder))
            return out, measured(program, "detect", "--model", model, picture, "-o", out, "--quiet", *options)

        def network():
            return json.loads(cytodet(program, "bench", "--model", model, "--seconds", 4, "--json"))["images_per_s"]

        # The machine's speed drifts: the network is measured before and after the slides.
        for tiles in TILES:
            shares, before = [], network()
            for _ in range(rounds):
                out, _ = run(slides, *tiles)
                timing = json.loads((out / "run.json").read_text())["timing"]
                after = network()
                shares.append(timing["tiles_per_s"] / statistics.mean([before, after]))
                before = after
            result["slide_share_of_bench_" + tiles[1]] = {**spread(shares), "tiles": timing["tiles"]}
        _, (_, result["slide_peak_mib"]) = run(slide)
        _, (result["big_slide_s"], result["big_slide_peak_mib"]) = run(ROOT / "out/big.tif", "--tile", 2560, "--overlap", 256)
    result["load_ms"] = json.loads(cytodet(program, "bench", "--model", model, "--seconds", 1, "--json"))["load_ms"]
    result["help_ms"] = spread([measured(program, "--help")[0] * 1000 for _ in range(10)])

    def share(of):
        return f"{100 * of['median']:.1f} % ({100 * of['min']:.1f}-{100 * of['max']:.1f}, {of['tiles']} tiles)"

    def row(text, value):
        return f"| {text} | {value} |"
    lines = ["| | |", "|---|--:|",
             *(row(f"slides, {tiles[1]}-pixel tiles: tiles/s as a share of the network alone", share(result["slide_share_of_bench_" + tiles[1]]))
               for tiles in TILES),
             row("slide of 50,000 x 50,000 pixels: peak memory", f"{result['big_slide_peak_mib']:.0f} MiB"),
             row("read, optimize and compile", f"{result['load_ms']:.0f} ms"),
             row("`cytodet --help`", f"{result['help_ms']['median']:.0f} ms")]
    (ROOT / "out/bench_slides.json").write_text(json.dumps(result, indent=1) + "\n")
    (ROOT / "out/bench_slides.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
