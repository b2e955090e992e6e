"""A service of a gallery of signals: recordings are answered as the library answers them, whatever they are sent as."""

import io
import json
from pathlib import Path

import httpx
import numpy as np
from scipy.io import wavfile

from benchmarks.signals.hearts import RATE, draw_heart, write_hearts
from engine import Client, Gallery, embed_images
from engine.service.settings import Settings
from tests.engine.encoders.onnx_networks import DIM, over_arrays
from tests.support.services import running


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def wave(array: np.ndarray, rate: int) -> bytes:
    stream = io.BytesIO()
    wavfile.write(stream, rate, array)
    return stream.getvalue()


def test_recordings_are_asked_enrolled_and_verified(tmp_path: Path) -> None:
    (tmp_path / "n.onnx").write_bytes(over_arrays(1, 128, 1).SerializeToString())
    (tmp_path / "n.json").write_text(json.dumps({"input": "signal", "size": 128, "dim": DIM, "rate": RATE}))
    encoder = str(tmp_path / "n.onnx")
    write_hearts(tmp_path / "hearts", range(6), 2)
    people = embed_images(tmp_path / "hearts", encoder, labels="folder").templates
    Gallery.build(people, tmp_path / "g")
    settings = Settings(str(tmp_path / "g"), encoder=encoder, rate=0, runtime="opencv")
    known, new = draw_heart(3, 1), draw_heart(50, 0)
    sent = [npy(known), wave(known, 250), npy(np.zeros(3000)), npy(new[:100]), npy(np.array([[known] * 3])), b"hello", npy(new)]
    with running(settings) as url, Client(url) as client, httpx.Client(base_url=url, trust_env=False) as http:
        found = client.identify(sent, threshold=1e-3)
        assert [each.decision for each in found] == ["identified", "identified", *["failed"] * 4, "unknown"]
        assert [each.identity for each in found[:2]] == ["heart0003", "heart0003"]
        reasons = [str(each.reasons) for each in found[2:6]]
        assert reasons[0] == "silence: all samples are the same"
        assert "100 samples (0.4 s), expected 128 or more" in reasons[1]
        assert "expected a signal: (samples,) or (samples, 1)" in reasons[2]
        assert "expected NumPy (.npy, .npz), WAV" in reasons[3]
        # As the body itself, of every kind.
        for kind, data in (("audio/wav", sent[1]), ("application/octet-stream", sent[0]), ("image/png", sent[0])):
            answer = http.post("/v1/galleries/g/identify?threshold=0.001", content=data, headers={"content-type": kind}).json()
            assert [row["identity"] for row in answer["results"]] == ["heart0003"], answer
        refused = http.post("/v1/galleries/g/identify", content=sent[0], headers={"content-type": "text/plain"})
        assert (refused.status_code, "application/octet-stream" in refused.text) == (415, True)
        many = http.post(
            "/v1/galleries/g/identify?faces=all", content=sent[0], headers={"content-type": "application/octet-stream"}
        )
        assert (many.status_code, "of a signal all is seen" in many.text) == (422, True), many.text
        client.enroll(npy(new), "new")
        assert client.identify(npy(new), threshold=1e-3)[0].identity == "new"
        assert client.verify(npy(known), "heart0003", threshold=0.01).same
        assert not client.verify(npy(known), "heart0001", threshold=0.01).same
