"""Whoever looks after a service can ask how it is, by whatever address; pages that point their name at it cannot ask more."""

from collections.abc import Callable
from pathlib import Path

import httpx

from engine.service import Settings, add_token
from tests.support.services import soon


def statuses(url: str, host: str, token: str | None = None) -> dict[str, int]:
    headers = {"Host": host, **({} if token is None else {"Authorization": f"Bearer {token}"})}
    paths = ("/healthz", "/readyz", "/metrics", "/v1/galleries", "/")
    return {path: httpx.get(f"{url}{path}", headers=headers, trust_env=False).status_code for path in paths}


def test_health_is_told_by_whatever_address_it_is_asked(house: Path, serve: Callable[[Settings], str], tmp_path: Path) -> None:
    token = add_token(tmp_path / "tokens.toml", "door")
    named = serve(Settings(str(house), allowed_hosts="door.example", tokens=str(tmp_path / "tokens.toml"), rate=0))
    everything = {"/healthz": 200, "/readyz": 200, "/metrics": 200, "/v1/galleries": 200, "/": 200}
    assert statuses(named, "door.example", token) == everything
    for host in ("127.0.0.1:8000", "10.0.0.3:8000"):
        assert statuses(named, host, token) == {**everything, "/v1/galleries": 421, "/": 421}
    assert statuses(named, "127.0.0.1")["/metrics"] == 401


def test_metrics_without_tokens_are_this_machines(house: Path, serve: Callable[[Settings], str]) -> None:
    url = serve(Settings(str(house), allowed_hosts="door.example", rate=0))
    assert statuses(url, "localhost:8000") == {"/healthz": 200, "/readyz": 200, "/metrics": 200, "/v1/galleries": 421, "/": 421}
    refused = {"/healthz": 200, "/readyz": 200, "/metrics": 421, "/v1/galleries": 421, "/": 421}
    assert statuses(url, "rebound.example") == refused


def test_a_gallery_that_cannot_be_read_is_counted_and_not_named(http: httpx.Client, house: Path) -> None:
    described = http.get("/v1/openapi.json").json()["paths"]["/readyz"]["get"]["responses"]
    assert described["503"]["content"]["application/json"]["schema"]["$ref"].endswith("ErrorEnvelope")
    house.rename(house.with_name("away"))
    assert soon(lambda: http.get("/readyz").status_code == 503)
    message = http.get("/readyz").json()["error"]["message"]
    assert "1 of 1" in message
    assert "house" not in message
    assert http.get("/v1/galleries").json()["galleries"][0]["trouble"]
    house.with_name("away").rename(house)
    assert soon(lambda: http.get("/readyz").status_code == 200)
