"""Slides on a Dask cluster. usage: detect.py SCHEDULER|N MODEL OUT INPUT...      N: that many workers on this machine"""
import sys

from dask.distributed import Client, LocalCluster

from cytodet import distributed


def main():
    where, model, out, *inputs = sys.argv[1:]
    # One thread a worker: a task takes the cores that --streams says, and here the workers share one machine.
    cluster = LocalCluster(n_workers=int(where), threads_per_worker=1, dashboard_address=None) if where.isdigit() else where
    with Client(cluster) as client:
        done = distributed.run(client, inputs, out, model=model, options=["--streams", "1"] if where.isdigit() else [])
        print(f"{done.slides} slides in {done.folder}, {done.attempts} tasks")


if __name__ == "__main__":
    main()
