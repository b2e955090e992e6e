"""Who may ask a service, from where, and how much."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from engine import Client
from engine.errors import GalleryError, ListError, ServiceError
from engine.service.access.rates import Rates
from engine.service.access.signing import read_signed, signed
from engine.service.access.tokens import Tokens, add_token, read_tokens, withdraw_token
from engine.service.server import checked
from engine.service.settings import Settings
from tests.engine.service.conftest import coded


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_is_kept_as_its_hash_alone(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    texts = [add_token(file, role, f"the {role}") for role in ("door", "desk", "admin")]
    kept = file.read_text()
    assert all(text.split("_", 2)[2] not in kept for text in texts)
    assert file.stat().st_mode & 0o077 == 0
    assert [token.role for token in read_tokens(file)] == ["door", "desk", "admin"]
    tokens = Tokens(file)
    assert [tokens.of(text).role for text in texts] == ["door", "desk", "admin"]  # type: ignore[union-attr]
    id_ = texts[0].split("_")[1]
    for wrong in ("", "onek", texts[0][:-1], texts[0] + "A", f"onek_{id_}_{texts[1].split('_', 2)[2]}", "ü" * 90):
        assert tokens.of(wrong) is None


def test_files_that_are_no_tokens_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    with pytest.raises(ListError, match="no such file"):
        read_tokens(file)
    for text in ("token = 3", "[[token]]\nid = 'x'", "]", "other = 1", "[[token]]\nid=1\nrole=1\nlabel=1\nsha256=1\ncreated=1"):
        file.write_text(text)
        with pytest.raises(ListError):
            read_tokens(file)
        assert len(Tokens(file)) == 0, "nobody is let in by a file that cannot be read"
    with pytest.raises(ListError, match="role"):
        add_token(file, "king")
    with pytest.raises(ListError, match="label"):
        add_token(file, "door", 'a "quoted"\nlabel')


def test_roles_and_withdrawal(house: Path, serve: Callable[[Settings], str], tmp_path: Path, pictures: list[bytes]) -> None:
    file = tmp_path / "tokens.toml"
    door, desk, admin = (add_token(file, role) for role in ("door", "desk", "admin"))
    url = serve(Settings(str(house), tokens=str(file), rate=0, runtime="opencv"))
    with httpx.Client(base_url=url, trust_env=False) as http:
        base = "/v1/galleries/house"
        for method, path, role in (
            ("POST", f"{base}/identify", "door"),
            ("POST", f"{base}/verify/person0", "door"),
            ("GET", "/metrics", "door"),
            ("GET", f"{base}/identities", "desk"),
            ("PUT", f"{base}/identities/ada/templates/a", "desk"),
            ("PATCH", f"{base}/identities/person1", "desk"),
            ("DELETE", f"{base}/identities/nobody", "desk"),
            ("GET", f"{base}/events", "desk"),
            ("POST", f"{base}/identities/nobody/erase", "admin"),
            ("POST", f"{base}/check", "admin"),
            ("POST", f"{base}/compact", "admin"),
        ):
            assert http.request(method, path).status_code == 401, path
            # Whoever guesses tokens has ten at once, and a few routes are like all.
            if role == "door":
                assert http.request(method, path, headers=bearer("onek_000000000000_" + "A" * 43)).status_code == 401
            allowed = {"door": (door, desk, admin), "desk": (desk, admin), "admin": (admin,)}[role]
            for token in (door, desk, admin):
                refused = http.request(method, path, headers=bearer(token), json={"identity": ""}).status_code in (401, 403)
                assert refused == (token not in allowed), (path, role)
        assert http.post(f"{base}/identify", params={"look": True}, headers=bearer(door), content=pictures[0]).status_code == 403
        assert http.get("/healthz").status_code == http.get("/readyz").status_code == http.get("/").status_code == 200
        assert http.get("/v1/galleries", headers=bearer(desk)).status_code == 200
        withdraw_token(file, desk.split("_")[1])
        assert http.get("/v1/galleries", headers=bearer(desk)).status_code == 401
        assert http.get("/v1/galleries", headers=bearer(door)).status_code == 200
        added = add_token(file, "desk")
        assert http.get(f"{base}/identities", headers=bearer(added)).status_code == 200


def test_guessing_is_slowed(
    house: Path, serve: Callable[[Settings], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.service.api.asked._WRONG", 0.2)
    add_token(tmp_path / "tokens.toml", "door")
    url = serve(Settings(str(house), tokens=str(tmp_path / "tokens.toml"), rate=0))
    with httpx.Client(base_url=url, trust_env=False, headers=bearer("onek_wrong")) as http:
        statuses = [http.get("/v1/galleries").status_code for _ in range(30)]
    assert statuses[0] == 401
    assert statuses.count(429) > 5


def test_it_refuses_to_listen_elsewhere_without_tokens(house: Path, tmp_path: Path) -> None:
    settings = Settings(str(house))
    assert any("whoever uses this machine" in line for line in checked(settings))
    assert any("held up to the camera" in line for line in checked(settings))
    with pytest.raises(GalleryError, match="--tokens"):
        checked(replace(settings, host="0.0.0.0"))  # noqa: S104
    file = tmp_path / "tokens.toml"
    add_token(file, "door")
    elsewhere = replace(settings, host="0.0.0.0", tokens=str(file))  # noqa: S104
    assert any("without --tls-cert" in line for line in checked(elsewhere))
    file.chmod(0o666)
    with pytest.raises(GalleryError, match="chmod 600"):
        checked(elsewhere)
    file.write_text("")
    file.chmod(0o600)
    with pytest.raises(GalleryError, match="no token in it"):
        checked(elsewhere)
    with pytest.raises(GalleryError, match="go together"):
        checked(replace(settings, tls_cert="c.pem"))


def test_other_pages_and_other_names_are_refused(http: httpx.Client, served: str) -> None:
    path = "/v1/galleries"
    assert http.get(path).status_code == 200
    assert http.get(path, headers={"Origin": served}).status_code == 200
    for headers in (
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://[broken"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert http.get(path, headers=headers).status_code == 403, headers
    assert http.get(path, headers={"Host": "rebound.example"}).status_code == 421
    assert http.get("/", headers={"Host": "rebound.example:80"}).status_code == 421


def test_every_answer_has_the_headers_of_a_page_that_fetches_nothing_elsewhere(http: httpx.Client) -> None:
    for path in ("/", "/script.js", "/style.css", "/texts.json", "/api", "/healthz", "/nowhere", "/v1/galleries"):
        headers = http.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in headers
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_limits_of_body_pixels_and_faces(house: Path, serve: Callable[[Settings], str], drawn: list[np.ndarray]) -> None:
    url = serve(Settings(str(house), body=200_000, megapixels=0.2, faces=1, vectors=4, rate=0, runtime="opencv"))
    with httpx.Client(base_url=url, trust_env=False) as http:
        identify = "/v1/galleries/house/identify"
        assert http.post(identify, content=b"x" * 200_001).status_code == 413
        streamed = http.post(identify, content=iter([b"x" * 100_000] * 3))
        assert streamed.status_code == 413
        assert streamed.json()["error"]["code"] == "too_large"
        assert http.post(identify, json={"vectors": [[1.0] * 128] * 5}).status_code == 413
        (huge,) = http.post(identify, content=coded(np.zeros((500, 500, 3), np.uint8))).json()["results"]
        assert "0.2" in huge["reasons"]
        small = coded(np.concatenate([drawn[1], drawn[2]], axis=1))
        (crowd,) = http.post(identify, content=small).json()["results"]
        assert crowd["reasons"] == "2 faces; of a picture at most 1 are looked at"


def test_a_rate_is_kept(house: Path, serve: Callable[[Settings], str]) -> None:
    url = serve(Settings(str(house), rate=0.2))
    with httpx.Client(base_url=url, trust_env=False) as http:
        answers = [http.get("/v1/galleries") for _ in range(12)]
    assert answers[0].status_code == 200
    late = [answer for answer in answers if answer.status_code == 429]
    assert len(late) >= 4
    assert int(late[0].headers["retry-after"]) >= 1


def test_buckets_forget_whom_they_have_not_seen() -> None:
    rates = Rates(1)
    assert [rates.wait("a") == 0 for _ in range(3)] == [True, True, False]
    for number in range(20_000):
        rates.wait(str(number))
    assert len(rates._buckets) <= 10_000
    assert Rates(0).wait("a") == 0


def test_slow_and_broken_clients_hold_nobody_up(
    house: Path, serve: Callable[[Settings], str], pictures: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.service.access.connections.HEAD_SECONDS", 0.5)
    url = serve(Settings(str(house), seconds=1, rate=0, runtime="opencv"))
    port = int(url.rpartition(":")[2])
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
    for number, each in enumerate(slow):
        head = b"POST /v1/galleries/house/identify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
        each.sendall(head if number % 2 else head + b"\r\nabc")
    with Client(url) as client:
        assert client.identify(pictures[0], faces="largest")[0].identity == "person0"
    time.sleep(1.5)
    for number, each in enumerate(slow):
        each.settimeout(5)
        answer = each.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408") if number % 2 == 0 else answer == b""
        each.close()
    monkeypatch.setattr("engine.service.access.connections.PatientProtocol.most_connections", 3)
    many = [socket.create_connection(("127.0.0.1", port)) for _ in range(6)]
    time.sleep(0.2)
    closed = 0
    for each in many:
        each.settimeout(0.1)
        try:
            closed += each.recv(1) == b""
        except TimeoutError:
            continue
        except ConnectionResetError:
            closed += 1
    assert closed >= 3
    for each in many:
        each.close()


def test_what_is_signed_is_not_made_or_changed() -> None:
    text = signed("secret", "cursor", {"after": "Zoë"})
    assert read_signed("secret", "cursor", text) == {"after": "Zoë"}
    for wrong in (text[:-2], text[::-1], "", "ü", "A", text.swapcase()):
        assert read_signed("secret", "cursor", wrong) is None
    assert read_signed("secret", "challenge", text) is None
    assert read_signed("another", "cursor", text) is None


def test_the_client_says_what_the_service_says(house: Path, serve: Callable[[Settings], str], tmp_path: Path) -> None:
    token = add_token(tmp_path / "tokens.toml", "door")
    url = serve(Settings(str(house), tokens=str(tmp_path / "tokens.toml"), rate=0))
    with Client(url) as client, pytest.raises(ServiceError) as refused:
        client.info()
    assert (refused.value.status, refused.value.code) == (401, "token")
    assert refused.value.request_id
    with Client(url, token) as client, pytest.raises(ServiceError, match="role"):
        client.remove("person0")


def test_no_picture_is_written_to_a_disk(house: Path, serve: Callable[[Settings], str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a picture would be written to a disk")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", refuse)
    noise = np.random.default_rng(0).integers(256, size=(900, 900, 3), dtype=np.uint8)
    url = serve(Settings(str(house), rate=0, runtime="opencv"))
    with Client(url) as client:
        assert len(coded(noise, ".png")) > 2_000_000
        assert client.identify([coded(noise, ".png")], faces="largest")[0].decision == "failed"
    left = {file.name for file in house.parent.rglob("*") if file.is_file() and file.parent != house}
    assert left == set(), "no events and no pictures are kept unless somebody says so"


def test_tls_is_spoken(house: Path, serve: Callable[[Settings], str], tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(cert), "-keyout", str(key)]
    subprocess.run(made, check=True, capture_output=True)
    url = serve(Settings(str(house), tls_cert=str(cert), tls_key=str(key), rate=0)).replace("http:", "https:")
    with Client(url, verify=str(cert)) as client:
        assert client.galleries() == ["house"]
    with Client(url) as client, pytest.raises(ServiceError, match="does not answer"):
        client.galleries()
