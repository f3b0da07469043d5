"""Ratios of a bench_peers result against those last recorded for the same kind of CPU; see bench_regress.

A ratio says how many times longer the peer takes; both sides were measured in the same rounds, so it moves little from day to day. Its noise is half the spread over the
rounds. A loss is a ratio below the recorded one by more than 5 % and by more than both noises together.
"""
import argparse
import datetime
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LEAST_LOSS = 0.05


def noise(ratio):
    return (ratio["max"] - ratio["min"]) / 2


def compare(recorded, measured):
    """Lines of (name, recorded, measured, allowed, verdict) for every recorded ratio."""
    lines = []
    for name, old in recorded.items():
        new = measured.get(name)
        if new is None:
            lines.append((name, old["median"], None, None, "missing"))
            continue
        allowed = max(LEAST_LOSS * old["median"], noise(old) + noise(new))
        change = new["median"] - old["median"]
        verdict = "LOSS" if change < -allowed else "gain" if change > allowed else "same"
        lines.append((name, old["median"], new["median"], allowed, verdict))
    return lines


def ratios_of(result):
    return {f"{graph['model']}: {name}": {k: value[k] for k in ("median", "min", "max")} for graph in result["graphs"] for name, value in graph["ratios"].items()}


def main():
    parser = argparse.ArgumentParser(prog="bench_regress")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--from", dest="source", type=pathlib.Path)
    parser.add_argument("--recorded", type=pathlib.Path, default=ROOT / "bench/recorded.json")
    a, rest = parser.parse_known_args()
    if a.source and rest:
        parser.error(f"unknown with --from: {' '.join(rest)}")
    source = a.source or ROOT / "out/bench_regress.json"
    if not a.source:
        subprocess.run([ROOT / "scripts/bench_peers", "--quick", "--out", source.with_suffix(""), *rest], check=True)
    result = json.loads(source.read_text())
    records = json.loads(a.recorded.read_text()) if a.recorded.exists() else {}
    cpu, measured = result["cpu"], ratios_of(result)
    if not measured:
        sys.exit(f"bench_regress: error: {source}: holds no ratios")
    if a.record:
        records[cpu] = {"date": datetime.date.today().isoformat(), "versions": result["versions"], "rounds": result["rounds"], "seconds": result["seconds"],
                        "ratios": records.get(cpu, {}).get("ratios", {}) | measured}
        a.recorded.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n")
        print(f"{len(measured)} ratios of {cpu} recorded in {a.recorded}")
        return
    if cpu not in records:
        sys.exit(f"bench_regress: error: {a.recorded}: nothing is recorded for {cpu}; run scripts/bench_regress --record on the quiet machine")
    present = {graph["model"] for graph in result["graphs"]}
    recorded = {name: ratio for name, ratio in records[cpu]["ratios"].items() if name.split(": ")[0] in present}
    lines = compare(recorded, measured)
    print(f"{cpu}, recorded {records[cpu]['date']}")
    for name, old, new, allowed, verdict in lines:
        print(f"{verdict:>7}  {old:6.2f} -> {'   -  ' if new is None else f'{new:6.2f}'}  allowed {'   -' if allowed is None else f'{allowed:5.2f}'}  {name}")
    bad = [line for line in lines if line[-1] in ("LOSS", "missing")]
    if bad:
        sys.exit(f"bench_regress: error: {len(bad)} of {len(lines)} ratios lost ground; if that is meant, run scripts/bench_regress --record")


if __name__ == "__main__":
    main()
