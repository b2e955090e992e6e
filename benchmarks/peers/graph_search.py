"""hnswlib or usearch beside onek: build one graph over given vectors, then answer rounds of one batch at growing effort."""

import json
import sys
import time
from importlib import metadata

import numpy as np


def main() -> None:
    """Arguments: the library, vectors and probes (.npy), threads, length of the batch. Then a line for each round."""
    library, vectors_file, probes_file, threads, first = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
    vectors, probes = np.load(vectors_file), np.load(probes_file)
    start = time.perf_counter()
    if library == "hnswlib":
        import hnswlib

        index = hnswlib.Index(space="l2", dim=vectors.shape[1])
        index.init_index(max_elements=len(vectors), M=16, ef_construction=100)
        index.set_num_threads(threads)
        index.add_items(vectors)
    else:
        from usearch.index import Index

        index = Index(ndim=vectors.shape[1], metric="l2sq", dtype="f32", connectivity=16, expansion_add=100)
        index.add(np.arange(len(vectors)), vectors, threads=threads)
    _say({"version": metadata.version(library), "seconds": time.perf_counter() - start})
    for line in sys.stdin:
        # "EFFORT" times the batch, "EFFORT START STOP" answers some of the probes behind it.
        effort, *behind = [int(word) for word in line.split()]
        batch = probes[first:][slice(*behind)] if behind else probes[:first]
        start = time.perf_counter()
        if library == "hnswlib":
            index.set_ef(effort)
            rows, _ = index.knn_query(batch, k=1, num_threads=threads)
        else:
            index.expansion_search = effort
            rows = index.search(batch, 1, threads=threads).keys
        seconds = time.perf_counter() - start
        _say({"seconds": seconds, "rows": np.asarray(rows).reshape(-1).tolist()})


def _say(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


main()
