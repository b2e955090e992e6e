"""Runs in a peer's environment: `face_recognition.face_encodings`, as it comes, on the files that a line of JSON names."""

import json
import sys
import time

import dlib
import face_recognition

sys.stdout.write(
    json.dumps({"version": face_recognition.__version__, "dlib": dlib.__version__, "blas": bool(dlib.DLIB_USE_BLAS)}) + "\n"
)
sys.stdout.flush()
for line in sys.stdin:
    start = time.perf_counter()
    found = {path: len(face_recognition.face_encodings(face_recognition.load_image_file(path))) for path in json.loads(line)}
    answer = {"seconds": time.perf_counter() - start, "found": [path for path, faces in found.items() if faces]}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
