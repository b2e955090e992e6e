"""Runs in a peer's environment: where points of photographs lie on the chips that dlib itself would cut of them.

Reads lines of JSON, [[file, [[x, y], ...]], ...], and writes for each file the points on dlib's chip of the face that holds them
(150 pixels, padding 0.25), or null where dlib finds no such face.
"""

import json
import math
import sys

import dlib
import face_recognition_models

SIZE, PADDING = 150, 0.25
detector = dlib.get_frontal_face_detector()
predictor = dlib.shape_predictor(face_recognition_models.pose_predictor_five_point_model_location())


def on_chip(path: str, points: list[list[float]]) -> list[list[float]] | None:
    """The points on the chip of the face that holds their middle."""
    picture = dlib.load_rgb_image(path)
    x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
    found = [face for face in detector(picture, 1) if face.contains(dlib.point(round(x), round(y)))]
    if not found:
        return None
    chip = dlib.get_face_chip_details(predictor(picture, found[0]), SIZE, PADDING)
    cosine, sine = math.cos(chip.angle), math.sin(chip.angle)
    centre = chip.rect.dcenter()
    scale = (SIZE - 1) / (chip.rect.right() - chip.rect.left())
    placed = []
    for px, py in points:
        dx, dy = px - centre.x, py - centre.y
        turned = (cosine * dx + sine * dy, cosine * dy - sine * dx)
        placed.append([scale * (turned[0] + centre.x - chip.rect.left()), scale * (turned[1] + centre.y - chip.rect.top())])
    return placed


sys.stdout.write(json.dumps({"version": dlib.__version__}) + "\n")
sys.stdout.flush()
for line in sys.stdin:
    sys.stdout.write(json.dumps([on_chip(path, points) for path, points in json.loads(line)]) + "\n")
    sys.stdout.flush()
