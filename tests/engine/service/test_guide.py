"""Every example of the guide to the service runs, beside a service."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.service import Settings, add_token
from tests.support.pages import DOCS, ROOT, blocks

GUIDE = DOCS / "guides" / "service.md"


@pytest.fixture
def beside(house: Path, serve: Callable[[Settings], str], tmp_path: Path, pictures: list[bytes]) -> tuple[str, str]:
    """The address of a service of a gallery that is called so, and a token; door.jpg and other.jpg lie in the test's folder."""
    (tmp_path / "door.jpg").write_bytes(pictures[0])
    (tmp_path / "other.jpg").write_bytes(pictures[10])
    gallery = shutil.copytree(house, tmp_path / "gallery")
    token = add_token(tmp_path / "tokens.toml", "admin")
    return serve(Settings(str(gallery), tokens=str(tmp_path / "tokens.toml"), events_days=1, runtime="opencv")), token


def example(language: str, number: int = 0) -> str:
    return [block.text for block in blocks(GUIDE) if block.language == language][number]


def test_examples_of_the_shell_run(beside: tuple[str, str], tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    url, token = beside
    commands = example("sh").replace("\\\n", " ").replace("http://127.0.0.1:8000", url).splitlines()
    answers = []
    for command in commands:
        environment = {**os.environ, "TOKEN": token, "no_proxy": "*"}
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        answers.append(json.loads(done.stdout))
        assert "error" not in answers[-1], command
    galleries, one, two, verified, enrolled, found, renamed, erased = answers
    assert galleries["galleries"][0]["name"] == "gallery"
    assert one["results"][0]["identity"] == "person0"
    assert {row["probe"] for row in two["results"]} == {"picture:0", "picture:1"}
    assert verified["same"]
    assert enrolled["template_id"] == "badge-17"
    assert found["identities"][0]["identity"] == "Ada Lovelace"
    assert renamed["identity"] == "Ada"
    assert erased["verified"]


def test_the_example_in_python_runs(beside: tuple[str, str], tmp_path: Path) -> None:
    url, token = beside
    code = f"TOKEN = {token!r}\n" + example("python").replace("http://127.0.0.1:8000", url)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error:::engine"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "person0" in done.stdout
    assert done.stdout.strip().endswith("True")


def test_the_error_of_the_guide_is_the_services(beside: tuple[str, str]) -> None:
    import httpx

    url, token = beside
    said = httpx.delete(
        f"{url}/v1/galleries/gallery/identities/nobody", headers={"Authorization": f"Bearer {token}"}, trust_env=False
    ).json()
    written = json.loads(example("json"))
    assert (said["error"]["code"], said["error"]["message"]) == (written["error"]["code"], written["error"]["message"])


def test_the_container_file_copies_what_is_there_and_starts_what_the_program_takes() -> None:
    lines = (DOCS / "Containerfile").read_text(encoding="utf-8").splitlines()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert copied
    assert all((ROOT / name).exists() for name in copied)
    start = [json.loads(line.partition(" ")[2]) for line in lines if line.startswith(("ENTRYPOINT ", "CMD "))]
    assert start[0] == ["onek", "serve"]
    options = {word for word in start[1] if word.startswith("--")}
    reference = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    assert all(option in reference.partition("## onek serve")[2].partition("\n## ")[0] for option in options)


def test_files_of_the_container_are_its_users() -> None:
    container, guide = ((DOCS / "Containerfile").read_text(encoding="utf-8"), GUIDE.read_text(encoding="utf-8"))
    (user,) = re.findall(r"useradd .*--uid (\d+)", container)
    assert f"chown -R {user}:{user} /srv/onek" in container
    assert f"chown -R {user}:{user} /srv/onek" in guide
    (unit,) = re.findall(r"^User=(\w+)$", guide, re.MULTILINE)
    assert f"-o {unit} -g {unit} -m 600 tokens.toml" in guide


def test_the_containers_packages_are_those_that_are_tested() -> None:
    def pinned(name: str) -> set[str]:
        return {line.split()[0] for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if "==" in line}

    assert len(pinned("requirements.serve.lock")) > 40
    assert pinned("requirements.serve.lock") <= pinned("requirements.lock")
