"""The image and the compose file, without Docker: what they say holds, and their commands work."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import URL, make_url

from reidsearch import config, environment
from tests import containers
from tests.containers import Image
from tests.postgres import cluster, programs, run_sql
from tests.qdrant_server import Fault, QdrantStandIn
from tests.serving import LONG, until
from tests.test_docs import README, ROOT
from tests.test_documentation import free_port

STAGES = containers.stages(ROOT / "Dockerfile")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PASSWORD = "tr0ub4dor"
ASKED = """
import sys, urllib.request as r
ask = r.Request("http://127.0.0.1:8733" + sys.argv[1])
if len(sys.argv) > 2:
    ask.add_header("Authorization", "Bearer " + sys.argv[2])
try:
    with r.urlopen(ask) as answer:
        print(answer.status, answer.read().decode())
except r.HTTPError as error:
    print(error.code, error.read().decode())
"""


def of_profile(name: str) -> set[str]:
    """The services that ``docker compose --profile NAME up`` starts."""
    return {key for key, one in SERVICES.items() if name in one.get("profiles", [name])}


def test_the_image_is_made_of_pinned_parts_and_carries_no_tools() -> None:
    build, final = STAGES
    assert build.base == final.base
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", final.base)
    assert ".".join(map(str, sys.version_info[:2])) in final.base or sys.version_info > (3, 11)
    assert not any("apt-get" in text for text in final.all("RUN"))
    assert "pip uninstall" in final.last("RUN")
    assert final.last("USER") == "10001:10001"
    for one in ("ENTRYPOINT", "CMD", "HEALTHCHECK"):
        assert final.words(one)  # in the form that leaves no shell between a signal and the service


def test_what_is_sent_to_be_built_is_what_is_copied_and_holds_no_secret(tmp_path: Path) -> None:
    sent = containers.context(ROOT, tmp_path / "sent")
    assert {one.name for one in sent.iterdir()} == {
        "LICENSE", "README.md", "migrations", "pyproject.toml", "reidsearch",
    }  # fmt: skip
    assert (sent / "reidsearch/weights/osnet-market1501.onnx").is_file()
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    for path in (
        ".env",
        "secrets/catalog",
        ".git/config",
        "reidsearch/__pycache__/a.pyc",
        "data/a",
    ):
        assert containers.ignored(path, lines), path
    (build, _) = STAGES
    for text in build.all("COPY"):
        *paths, _ = text.split()
        for path in paths:
            assert (sent / path).exists(), path


def test_the_profiles_start_what_they_are_for() -> None:
    alone = {key for key, one in SERVICES.items() if "profiles" not in one}
    assert alone == {"qdrant"}  # what `docker compose up -d` has always started
    assert of_profile("single") == {"qdrant", "postgres", "service"}
    assert of_profile("cluster") == {
        "qdrant", "postgres", "cluster-service", "node-1", "node-2", "node-3",
    }  # fmt: skip
    for profile in ("single", "cluster"):
        ports = [port for key in of_profile(profile) for port in SERVICES[key].get("ports", [])]
        assert len(set(ports)) == len(ports)
        assert all(port.startswith("127.0.0.1:") for port in ports)
        for key in of_profile(profile):
            assert SERVICES[key].get("depends_on", {}).keys() <= of_profile(profile)


def test_every_service_is_pinned_limited_watched_and_keeps_its_data_in_a_volume() -> None:
    volumes = set()
    for key, one in SERVICES.items():
        if "build" in one:  # whose image says how it is watched
            assert one["read_only"]
            assert one["cap_drop"] == ["ALL"]
        else:
            assert re.search(r":v?\d+\.\d+", one["image"]), key
            assert one["healthcheck"]["test"][0] == "CMD", key
        assert one["mem_limit"]
        assert one["pids_limit"]
        assert one["restart"] == "unless-stopped"
        assert "no-new-privileges:true" in one["security_opt"]
        volumes |= {volume.partition(":")[0] for volume in one["volumes"]}
    assert volumes == COMPOSE["volumes"].keys()
    assert SERVICES["qdrant"]["image"] == "qdrant/qdrant:v1.18.3"


def test_no_secret_is_in_either_file_and_settings_are_those_there_are() -> None:
    for one in SERVICES.values():
        for name, value in one.get("environment", {}).items():
            assert not re.search("KEY|PASSWORD|TOKEN", name) or value in (
                None,
                "/run/secrets/catalog",
            )
    own = SERVICES["cluster-service"]["environment"]
    variables = {*environment.VARIABLES, *map(config.variable, config.KEYS)}
    assert own.keys() <= variables
    settings = config.load({}, environment={key: value or "" for key, value in own.items()})
    assert settings.thumbnails
    assert str(settings.catalog_url) == "postgresql+psycopg://reidsearch@postgres/reidsearch"


@pytest.mark.parametrize(("key", "told"), [(None, "none"), ("", "none"), ("k3y $x", "k3y $x")])
def test_a_qdrant_server_has_the_key_that_it_is_given_and_never_an_empty_one(
    tmp_path: Path, key: str | None, told: str
) -> None:
    program = tmp_path / "qdrant"
    program.write_text('#!/bin/sh\necho "${QDRANT__SERVICE__API_KEY-none}" "$@"\n')
    program.chmod(0o755)
    for name in ("qdrant", "node-2"):
        words = SERVICES[name]["entrypoint"] + SERVICES[name].get("command", [])
        given = {} if key is None else {"REIDSEARCH_QDRANT_API_KEY": key}
        said = subprocess.run(
            [word.replace("$$", "$") for word in words],
            cwd=tmp_path, env={"PATH": os.environ["PATH"], **given},
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        assert said.split("\n")[0] == " ".join([told, *SERVICES[name].get("command", [])])


def test_the_health_check_of_a_qdrant_server_tells_a_ready_one(qdrant: QdrantStandIn) -> None:
    (_, *words) = SERVICES["qdrant"]["healthcheck"]["test"]
    port = qdrant.url.rpartition(":")[2]
    check = [word.replace("/6333", f"/{port}") for word in words]
    assert subprocess.run(check, timeout=30).returncode == 0
    qdrant.plan = lambda number, path: Fault.AWAY
    assert subprocess.run(check, timeout=30).returncode
    qdrant.down()
    assert subprocess.run(check, timeout=30, capture_output=True).returncode


@pytest.fixture
def database(tmp_path: Path) -> Iterator[URL]:
    """An empty database whose owner is asked for a password, as the image of PostgreSQL makes it;
    the URL is without, and the file of the compose file's secret holds it."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed")
    (tmp_path / "catalog").write_text(f"{PASSWORD}\n")
    with cluster() as server:
        owner = f"CREATE ROLE reidsearch LOGIN SUPERUSER PASSWORD '{PASSWORD}'"
        run_sql(server.url, owner, "CREATE DATABASE reidsearch OWNER reidsearch")
        rules = server.folder / "data/pg_hba.conf"
        rules.write_text("local all reidsearch scram-sha-256\n" + rules.read_text())
        run_sql(server.url, "SELECT pg_reload_conf()")
        (_, *check) = SERVICES["postgres"]["healthcheck"]["test"]
        ready = [str(server.folder) if word == "127.0.0.1" else word for word in check]
        assert subprocess.run(ready, timeout=30, capture_output=True).returncode == 0
        yield make_url(server.url).set(username="reidsearch", database="reidsearch")
        server.stop()
        assert subprocess.run(ready, timeout=30, capture_output=True).returncode


@pytest.mark.parametrize("name", ["service", "cluster-service"])
def test_the_service_takes_in_and_answers_with_the_settings_of_the_compose_file(
    tmp_path: Path,
    market: Path,
    encoder_file: Path,
    qdrant: QdrantStandIn,
    database: URL,
    name: str,
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "tokens.json").write_text("[]\n")
    given = {key: value for key, value in SERVICES[name]["environment"].items() if value}
    environment = os.environ | given | {
        "PYTHONPATH": str(ROOT),
        "REIDSEARCH_DATA_DIR": str(volume),
        "REIDSEARCH_ENCODER": str(encoder_file),
        # The same servers, by the names they have here.
        "REIDSEARCH_CATALOG_PASSWORD_FILE": str(tmp_path / "catalog"),
        "REIDSEARCH_CATALOG_URL": database.render_as_string(),
        "REIDSEARCH_QDRANT_URL": qdrant.url,
    }  # fmt: skip

    def words(*given: str) -> list[str]:
        return [sys.executable, "-m", "reidsearch", *given]

    made = subprocess.run(
        words("token", "gate", "--role", "admin"), env=environment, cwd=volume, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    port = str(free_port())
    command = [
        word.replace("${SERVICE_NAME:-service}", "service") for word in SERVICES[name]["command"]
    ]
    service = subprocess.Popen(
        words(*command, "--port", port), env=environment, cwd=volume, stderr=subprocess.PIPE
    )
    try:
        told = {"authorization": f"Bearer {made.stdout.strip()}"}
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=told, timeout=LONG, trust_env=False
        ) as client:
            until(lambda: _answers(client))
            assert client.get("/readyz").status_code == 503  # it is empty
            crop = next(iter(sorted((market / "query").glob("*.jpg"))))
            fields = {"camera": "gate"}
            pushed = client.post("/api/images", data=fields, files={"image": crop.read_bytes()})
            assert pushed.status_code == 201, pushed.text
            found = client.post("/api/query", files={"image": crop.read_bytes()}).json()
            (hit,) = found["hits"]
            assert hit["camera"] == "gate"
            assert hit["machine"] == "service"
            # By its name among the containers, as by its address.
            asked = client.get("/readyz", headers={"host": f"service:{port}"})
            assert asked.status_code == 200, asked.text
        service.send_signal(signal.SIGTERM)
        _, said = service.communicate(timeout=LONG)
        assert service.returncode == 0, said
        assert PASSWORD.encode() not in said
    finally:
        service.kill()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


needs_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("nsenter"),
    reason="namespaces and mounts take root on Linux",
)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    with containers.built(ROOT, tmp_path_factory.mktemp("image")) as made:
        yield made


@needs_root
def test_the_image_serves_read_only_as_nobody_and_ends_when_it_is_told_to(
    image: Image, market: Path, tmp_path: Path
) -> None:
    volume = tmp_path / "volume"

    def asked(path: str, *token: str) -> str:
        return image.inside(service, "python", "-c", ASKED, path, *token).stdout.decode()

    ended = image.run("status", volume=volume)
    assert ended.returncode == 0, ended.stderr
    shutil.copytree(market, volume / "market")
    ended = image.run("ingest", "market", "--json", volume=volume)
    assert ended.returncode in (0, 3), ended.stderr
    assert json.loads(ended.stdout)["ingested"]
    service = image.start(*image.stage.words("CMD"), volume=volume)
    (_, *check) = image.stage.last("HEALTHCHECK").partition("CMD")
    assert check
    try:
        for _ in range(600):
            health = image.inside(service, *image.stage.words("HEALTHCHECK"))
            if not health.returncode:
                break
            time.sleep(0.1)
        assert health.returncode == 0, health.stderr
        assert asked("/readyz").startswith("200")
        assert asked("/api/status").startswith("401")  # there is no token yet
        made = image.inside(service, "reidsearch", "token", "ann", "--role", "search")
        assert asked("/api/cameras", made.stdout.decode().strip()).startswith("200")
        who = image.inside(service, "python", "-c", WHO)
        assert json.loads(who.stdout) == {
            "uid": 10001, "written": [], "torch": False, "pip": False, "pid 1": "reidsearch",
        }  # fmt: skip
        os.kill(containers.first(service), signal.SIGTERM)
        _, said = service.communicate(timeout=containers.LONG)
        assert service.returncode == 0, said
        assert b"nobody is let in" in said
        assert b"Stopped." in said
    finally:
        service.kill()


WHO = """
import importlib.util as i, json, os
places = ["/", "/etc", "/usr", "/opt/reidsearch", "/home", "/var/tmp", "/run", "/root"]
print(json.dumps({
    "uid": os.getuid(),
    "written": [one for one in places if os.access(one, os.W_OK)],
    "torch": i.find_spec("torch") is not None,
    "pip": i.find_spec("pip") is not None,
    "pid 1": "reidsearch" if b"reidsearch" in open("/proc/1/cmdline", "rb").read() else "",
}))
"""


def test_the_readme_names_the_profiles() -> None:
    for profile in ("single", "cluster"):
        assert f"--profile {profile}" in README
