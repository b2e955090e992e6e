"""Names and ids with a / in them are parts of a path like any other."""

from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np

from engine import Client, Gallery
from engine.templates.model import Templates
from tests.support.services import soon


def test_a_name_that_looks_like_a_path_is_nobody_elses(client: Client, http: httpx.Client) -> None:
    base, vectors = "/v1/galleries/house/identities", np.eye(8, 128, dtype=np.float32)
    client.enroll(vectors[0], "ada", template_id="t9")
    odd = ["ada/templates/t9", "ada/erase", "ada%2Ftemplates%2Ft9", "a/b c%/ü", "100%25", "/"]
    for vector, name in zip(vectors[1:], odd, strict=False):
        client.enroll(vector, name, template_id=f"of-{quote(name, safe='').replace('%', '-')}")
    assert set(odd) < set(dict(client.identities()))
    for name in odd:
        assert len(client.template_ids(name)) == 1
        assert client.rename(name, f"{name}!") == 1
        assert client.remove(f"{name}!") == 1
    assert client.template_ids("ada") == ["t9"]
    assert http.delete(f"{base}/ada%2Ftemplates%2Ft9").status_code == 404
    assert client.template_ids("ada") == ["t9"]
    client.enroll(vectors[7], "ada/erase")
    assert client.erase("ada/erase").templates == 1
    assert client.template_ids("ada") == ["t9"]
    assert http.delete(f"{base}/ada/templates/t9").status_code == 200


def test_a_template_whose_id_is_a_path_can_be_removed(house: Path, client: Client, http: httpx.Client, people: Templates) -> None:
    gallery = Gallery.open(house)
    gallery.enroll(Templates.from_vectors(np.eye(1, 128), ["kian"], ["kian/1.jpg#0"], people.provenance))
    path = "/v1/galleries/house/identities/kian"
    assert soon(lambda: http.get(path).status_code == 200)
    assert client.template_ids("kian") == ["kian/1.jpg#0"]
    assert http.delete(f"{path}/templates/kian%2F1.jpg%230").json()["templates"] == 1
