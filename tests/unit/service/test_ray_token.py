"""The token of Ray: made once, for its owner alone, and used where nobody said otherwise."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.executors.environment import cluster_driver, local_driver
from ntlbg_service.executors.job_client import ClusterAwayError, JobClient
from ntlbg_service.executors.ray_token import FILE, MODE, VALUE, token_file, use_token


def test_a_token_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "token"
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: token_file(file).read_text(), range(32)))
    assert found == {file.read_text()}
    assert len(file.read_text()) == 64
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["token"]
    file.chmod(0o644)
    assert stat.S_IMODE(token_file(file).stat().st_mode) == 0o600


def test_a_token_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InfrastructureError, match=r"no token for Ray: \w+"):
        token_file(tmp_path / "file" / "token")


def test_a_local_ray_has_a_token_of_its_own_and_the_environment_only_its_place(
    tmp_path: Path,
) -> None:
    file = tmp_path / "token"
    given = {VALUE: "of-the-cluster", FILE: "/of/the/cluster", "RAY_ADDRESS": "head:6379"}
    found = local_driver(given, file)
    assert (found[MODE], found[FILE]) == ("token", str(file))
    assert VALUE not in found
    assert file.read_text() not in found.values()


def test_whoever_wants_none_says_so(tmp_path: Path) -> None:
    found = local_driver({MODE: "disabled"}, tmp_path / "token")
    assert found[MODE] == "disabled"
    assert FILE not in found
    assert not (tmp_path / "token").exists()


def test_no_token_is_handed_to_a_job_on_a_cluster() -> None:
    """Ray shows the environment of jobs to all who see the cluster."""
    given = {VALUE: "t0ken", "HF_TOKEN": "t0ken", FILE: "/t0ken", "HF_HOME": "/hub"}
    assert "t0ken" not in str(cluster_driver(given))


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ({}, None),
        ({VALUE: "x"}, "token"),
        ({FILE: "x"}, "token"),
        ({VALUE: "x", MODE: "disabled"}, "disabled"),
    ],
)
def test_a_cluster_is_sent_a_token_where_there_is_one(
    given: dict[str, str], mode: str | None, tmp_path: Path
) -> None:
    environment = dict(given)
    use_token(environment, tmp_path)
    assert environment.get(MODE) == mode


def test_the_token_that_ray_generates_is_used(tmp_path: Path) -> None:
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray/auth_token").touch()
    environment: dict[str, str] = {}
    use_token(environment, tmp_path)
    assert environment == {MODE: "token"}


def test_a_refusal_says_what_to_do() -> None:
    class AuthenticationError(Exception):
        pass

    def refuse(_: str) -> None:
        raise AuthenticationError("Authentication required: no token\n\nmore")

    with pytest.raises(ClusterAwayError, match=r"^Ray at http://head: .*RAY_AUTH_TOKEN_PATH"):
        JobClient("http://head", refuse).get("/nodes")
