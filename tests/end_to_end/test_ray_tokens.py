"""A real Ray lets nobody in without its token: the local one of `ntlbg run`, and a cluster."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ntlbg_service.executors.environment import local_driver
from ntlbg_service.executors.job_client import JobClient
from ntlbg_service.nodes.ray_nodes import ray_nodes
from tests.support.patience import PATIENCE
from tests.support.ray_cluster import RayCluster

LOOK = """
import json, psutil, ray
from ntlbg_service.runner.cluster import connection
with connection(cpus=1):
    here = psutil.Process()
    family = [here, *here.children(recursive=True)]
    listening = {
        found.laddr.ip
        for process in family
        for found in process.net_connections(kind="inet")
        if found.status == psutil.CONN_LISTEN
    }
    words = [word for process in family for word in process.cmdline()]
    url = ray.worker.global_worker.node.webui_url
    print("answer:", json.dumps([url, sorted(listening), words]), flush=True)
    input()
"""
ASK = """
import sys
from ntlbg_service.executors.job_client import JobClient
print(JobClient(sys.argv[1]).get("/api/version"))
"""


def status(url: str, token: str | None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        request = urllib.request.Request(f"{url}/api/jobs/", headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def test_the_local_ray_is_on_loopback_and_wants_its_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    driver = subprocess.Popen(
        [sys.executable, "-c", LOOK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=local_driver(os.environ, file),
        text=True,
    )
    try:
        assert driver.stdout and driver.stdin
        lines = (line for line in driver.stdout if line.startswith("answer:"))
        url, listening, words = json.loads(next(lines).removeprefix("answer:"))
        assert {address.rpartition(":")[2] for address in listening} == {"127.0.0.1"}
        assert status(f"http://{url}", None) == 401
        assert status(f"http://{url}", os.environ["RAY_AUTH_TOKEN"]) == 403
        assert status(f"http://{url}", file.read_text()) == 200
        assert not [word for word in words if file.read_text() in word]
        driver.stdin.write("\n")
        driver.stdin.close()
        assert driver.wait(timeout=PATIENCE) == 0
    finally:
        driver.kill()
        driver.wait()
        driver.stdout.close()


def test_a_cluster_refuses_who_has_no_token(ray_cluster: RayCluster, tmp_path: Path) -> None:
    assert status(ray_cluster.dashboard, None) == 401
    assert status(ray_cluster.dashboard, "of somebody else") == 403
    assert JobClient(ray_cluster.dashboard).get("/api/version")["ray_version"]
    assert [node["name"] for node in ray_nodes(ray_cluster.dashboard)]


@pytest.mark.parametrize("found", [True, False])
def test_a_client_uses_the_token_it_finds(
    ray_cluster: RayCluster, tmp_path: Path, found: bool
) -> None:
    """RAY_AUTH_MODE is not set, as in the shell of a person who does not know of it."""
    own = {name: text for name, text in os.environ.items() if not name.startswith("RAY_AUTH")}
    file = tmp_path / "token"
    file.write_text(os.environ["RAY_AUTH_TOKEN"])
    own |= {"HOME": str(tmp_path)} | ({"RAY_AUTH_TOKEN_PATH": str(file)} if found else {})
    done = subprocess.run(
        [sys.executable, "-c", ASK, ray_cluster.dashboard],
        env=own,
        capture_output=True,
        text=True,
        check=False,
    )
    if found:
        assert "ray_version" in done.stdout, done.stderr
    else:
        assert done.stderr.splitlines()[-1].endswith(
            "the cluster refuses this token; RAY_AUTH_TOKEN_PATH names the file with the "
            "cluster's, which 'ray get-auth-token' prints on its head"
        )
