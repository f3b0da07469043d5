#!/usr/bin/env python3
"""Makes tests/data/quant/observers.json: ranges of known distributions by their definitions, written plainly in numpy.
The tests make the same numbers from the same generator. Per distribution: extremes, percentiles (numpy's), the entropy range
(every divergence summed over single bins) and the least squared error of 8-bit codes over a grid of clippings of the raw numbers.
usage: $(scripts/oracle_env coco) scripts/make_quant_golden.py"""
import json
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parent.parent / "tests/data/quant/observers.json"
COUNT, CODES, MOST_BINS, EMPTY = 20000, 256, 2048, 1e-4


def uniform(seed, n):
    """As in the tests: a 64-bit linear congruential generator, its upper 53 bits over 2^53."""
    out, state = np.empty(n), seed
    for i in range(n):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out[i] = (state >> 11) / 2.0**53
    return out


def bell(seed):
    u = uniform(seed, 12 * COUNT).reshape(COUNT, 12)
    total = np.zeros(COUNT)
    for column in range(12):
        total = total + u[:, column]
    return total - 6


def distributions():
    b = bell(1)
    far = b.copy()
    far[:3] = [40, -35, 30]
    return {
        "uniform": uniform(2, COUNT),
        "bell": b,
        "relu": np.maximum(b, 0),
        "swish_like": np.where(b > 0, b * b, b * 0.1),
        "outliers": far,
        "positive": b * b * b * b + 0.5,
    }


def histogram(x):
    """Bins of |x| on each side of 0, a power of two wide, the largest in the upper half of 4096; pairs of them when over 2048."""
    width = 2.0 ** (np.frexp(np.float32(np.abs(x).max()))[1] - 12)
    place = np.floor(np.abs(x) / width).astype(int)
    if place.max() + 1 > MOST_BINS:
        width, place = width * 2, place // 2
    negative = x < 0
    first = -(place[negative].max() + 1) if negative.any() else 0
    end = place[~negative].max() + 1
    counts = np.zeros(end - first)
    np.add.at(counts, np.where(negative, -place - 1, place) - first, 1)
    zero = -first
    if end > 1:
        counts[zero] = min(counts[zero], counts[zero + 1])
    if zero > 1:
        counts[zero - 1] = min(counts[zero - 1], counts[zero - 2])
    return counts, first, width


def divergence(counts, a, b):
    if counts[a:b].sum() == 0:
        return np.inf
    p = counts[a:b].copy()
    p[0] += counts[:a].sum()
    p[-1] += counts[b:].sum()
    q = np.zeros(b - a)
    for code in range(CODES):
        group = slice(code * (b - a) // CODES, (code + 1) * (b - a) // CODES)
        used = p[group] > 0
        if used.any():
            q[group][used] = counts[a:b][group].sum() / used.sum()
    used = p > 0
    p, q = p[used] / p.sum(), np.where(q > 0, q, EMPTY)[used] / q.sum()
    return float((p * np.log(p / q)).sum())


def entropy(x):
    counts, first, width = histogram(x)
    end = first + len(counts)
    best, chosen = divergence(counts, 0, len(counts)), None
    for reach in range(max(end, -first) - 1, 0, -1):
        a, b = max(first, -reach), min(end, reach)
        if b - a < CODES or 1 - counts[a - first:b - first].sum() / counts.sum() > MOST_CLIPPED:
            break
        d = divergence(counts, a - first, b - first)
        if d < best - 1e-12:
            best, chosen = d, reach
    low, high = float(x.min()), float(x.max())
    if chosen is not None:
        low, high = max(low, -chosen * width), min(high, chosen * width)
    return [low, high]


def squared_error(x, low, high):
    scale = (high - low) / (CODES - 1)
    zero = np.rint(-low / scale)
    code = np.clip(np.floor(x / scale + 0.5) + zero, 0, CODES - 1)
    return float(((x - (code - zero) * scale) ** 2).sum())


def least_error(x, steps=32):
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    lows = [low * i / steps for i in range(steps + 1)] if low < 0 else [0.0]
    highs = [high * i / steps for i in range(1, steps + 1)]
    return min(squared_error(x, l, h) for l in lows for h in highs)


def main():
    golden = {}
    for name, numbers in distributions().items():
        x = numbers.astype(np.float32).astype(np.float64)
        golden[name] = {
            "minmax": [float(x.min()), float(x.max())],
            "percentile": [float(v) for v in np.percentile(x, [0.01, 99.99])],
            "percentile_99": [float(v) for v in np.percentile(x, [1, 99])],
            "entropy": entropy(x),
            "least_squared_error": least_error(x),
        }
    OUT.write_text(json.dumps(golden, indent=1) + "\n")


main()
