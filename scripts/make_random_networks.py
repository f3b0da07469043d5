"""Random convolutional networks with TensorFlow's answers; network number N is made from seed N alone.

usage: $(scripts/oracle_env tensorflow) scripts/make_random_networks.py --golden            -> tests/data/exec/random_networks/NNNN/
       $(scripts/oracle_env tensorflow) scripts/make_random_networks.py --make 100 DIR [--first 0] [--small]

A folder holds graph.pb and case.json as `cytodet infer --cases` reads them. scripts/check_random_networks compares them, and the
INT8 graphs made of them, with the compiled plan."""
import argparse
import collections
import json
import pathlib
import sys

import numpy as np

import random_network_maker as maker

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/data/exec/random_networks"
GOLDEN = 100
LARGEST_FOLDER = 40_000  # bytes of a network that is checked in


def tensor(a, digits=9):
    a = np.asarray(a)
    data = [float(f"{v:.{digits}g}") for v in a.ravel()] if a.dtype.kind == "f" else a.ravel().tolist()
    return {"dtype": str(a.dtype), "shape": list(a.shape), "data": data}


def write(folder, definition, feeds, outputs, answers, digits=9):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "graph.pb").write_bytes(definition.SerializeToString(deterministic=True))
    case = {"inputs": {k + ":0": tensor(v, digits) for k, v in feeds.items()},
            "outputs": {k + ":0": tensor(v, digits) for k, v in zip(outputs, answers)}}
    (folder / "case.json").write_text(json.dumps(case, separators=(",", ":")) + "\n")
    return sum(p.stat().st_size for p in folder.iterdir())


def make(folder, first, count, small):
    """Networks of `count` seeds. Some are left out: those that hold no block, or of which TensorFlow runs no more than the maker."""
    made, drawn = 0, collections.Counter()
    for seed in range(first, first + count):
        *network, blocks = maker.network(seed, small)
        write(folder / f"{seed:04d}", *network)
        made += 1
        drawn.update(blocks)
    print(f"{made} networks; blocks: {', '.join(f'{n} {name}' for name, n in drawn.most_common())}")


def golden():
    """The first seeds whose networks are small."""
    made, seed = 0, 0
    while made < GOLDEN:
        *network, _ = maker.network(seed, small=True)
        folder = OUT / f"{seed:04d}"
        if write(folder, *network, digits=7) > LARGEST_FOLDER:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
        else:
            made += 1
        seed += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("--make", nargs=2, metavar=("COUNT", "DIR"))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="few channels and blocks, as those that are checked in")
    options = parser.parse_args()
    if options.golden:
        golden()
    elif options.make:
        make(pathlib.Path(options.make[1]), options.first, int(options.make[0]), options.small)
    else:
        parser.print_usage()
        sys.exit(2)


if __name__ == "__main__":
    main()
