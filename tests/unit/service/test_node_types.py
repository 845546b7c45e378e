"""What an autoscaler could add, read from the files that Ray and KubeRay are given."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.domain.errors import UserError
from ntlbg_service.nodes.node_types import load_node_types
from ntlbg_service.nodes.node_types.documents import At
from ntlbg_service.nodes.node_types.kind import of_product
from ntlbg_service.nodes.node_types.kuberay import quantity
from tests.support.ntlbg_call import Ntlbg

ROOT = Path(__file__).parents[3]
RAY = """
max_workers: 6
head_node_type: head
available_node_types:
  head: {resources: {CPU: 8}, max_workers: 0}
  volta:
    resources: {CPU: 48, GPU: 8, memory: 824633720832}
    labels: {ntlbg.io/profile: V100_32GB}
    min_workers: 1
    max_workers: 4
  big:
    resources: {CPU: 96, GPU: 8}
    labels: {ntlbg.io/profile: A100-80GB}
  cores: {resources: {CPU: 64}, max_workers: 9}
"""
KUBERAY = """
apiVersion: v1
kind: ConfigMap
---
apiVersion: ray.io/v1
kind: RayJob
spec:
  rayClusterSpec:
    enableInTreeAutoscaling: true
    workerGroupSpecs:
    - groupName: a100
      replicas: 1
      minReplicas: 1
      maxReplicas: 3
      numOfHosts: 2
      rayStartParams: {num-cpus: "40", labels: "rack=7,ntlbg.io/profile=A100-40GB"}
      template: {spec: {containers: [
        {resources: {limits: {nvidia.com/gpu: 8, memory: 640Gi, cpu: 88}}}]}}
    - groupName: volta
      maxReplicas: 2
      template: {spec: {
        nodeSelector: {nvidia.com/gpu.product: Tesla-V100-SXM2-32GB},
        containers: [{resources: {limits: {nvidia.com/gpu: "4", memory: 320G, cpu: 39500m}}}]}}
    - groupName: cores
      maxReplicas: 5
      template: {spec: {containers: [{resources: {limits: {cpu: 8}}}]}}
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "types.yaml"
        path.write_text(text)
        return path

    return write


def test_rays_file_is_read(write: Write) -> None:
    volta, big = load_node_types(write(RAY))
    assert (volta.name, volta.profile, volta.gpus, volta.cores) == ("volta", "V100-32GB", 8, 48)
    assert (volta.host_memory_gib, volta.min_nodes, volta.max_nodes, volta.nodes) == (768, 1, 4, 0)
    # Without a limit of its own the cluster's holds.
    assert (big.profile, big.max_nodes) == ("A100-80GB", 6)


def test_a_resource_of_kuberay_is_read(write: Write) -> None:
    ampere, volta = load_node_types(write(KUBERAY))
    assert (ampere.name, ampere.profile, ampere.gpus, ampere.cores) == ("a100", "A100-40GB", 8, 40)
    assert (ampere.min_nodes, ampere.max_nodes, ampere.host_memory_gib) == (2, 6, 640)
    assert (volta.profile, volta.gpus, volta.cores, volta.max_nodes) == ("V100-32GB", 4, 39, 2)
    assert volta.host_memory_gib == pytest.approx(298.0, abs=0.1)


def test_without_its_autoscaler_a_resource_has_what_it_asks_for(write: Write) -> None:
    (only,) = load_node_types(write(KUBERAY.replace("Autoscaling: true", "Autoscaling: false")))
    assert (only.name, only.min_nodes, only.max_nodes) == ("a100", 2, 2)


def test_shipped_files_are_read() -> None:
    kinds = ["V100-32GB", "A100-40GB", "A100-80GB"]
    for name in ("deploy/kuberay.yaml", "deploy/ray-cluster.yaml"):
        found = load_node_types(ROOT / name)
        assert [group.profile for group in found] == kinds
        assert all(group.max_nodes and group.gpus == 8 for group in found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", ":1:5: not YAML: "),
        ("a: 1", ": holds neither 'available_node_types' (Ray's cluster YAML) nor a resource"),
        ("- 1", ": holds neither"),
        (RAY.replace("V100_32GB", "V100-33GB"), "volta.labels.ntlbg.io/profile: unknown GPU kind"),
        (RAY.replace("V100_32GB", "V100-33GB"), "did you mean 'V100-32GB'?"),
        (RAY.replace("ntlbg.io/profile: A100", "other: A100"), "big.labels: must say 'ntlbg.io/"),
        (RAY.replace("CPU: 48, GPU: 8", "CPU: 48"), "volta.resources.GPU: must say how many"),
        (RAY.replace("GPU: 8", "GPU: many"), "volta.resources.GPU: must be a number, got 'many'"),
        (RAY.replace("GPU: 8", "GPU: .inf"), "volta.resources.GPU: must be a whole number"),
        (RAY.replace("min_workers: 1", "min_workers: 5"), "types.volta: min_nodes must be between"),
        (RAY.replace("max_workers: 6", "max_workers: 0"), "no worker type that has GPUs"),
        ("available_node_types: 3", "available_node_types: must be a mapping"),
        ("available_node_types: {a: 3}", "available_node_types.a: must be a mapping"),
        (KUBERAY.replace("RayJob", "RayFarm"), "kind: must be one of RayCluster, RayJob,"),
        (KUBERAY.replace("640Gi", "640GiB"), "limits.memory: must be a quantity as '8' or '320Gi'"),
        (KUBERAY.replace("-32GB}", "}"), "workerGroupSpecs.1.labels: must say 'ntlbg.io/profile'"),
        ("apiVersion: ray.io/v1\nkind: RayCluster", "spec.workerGroupSpecs: must be a list"),
    ],
)
def test_what_cannot_be_is_one_line(write: Write, text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_node_types(write(text))
    assert said in str(caught.value) and "\n" not in str(caught.value)


@given(st.text(max_size=8) | st.integers() | st.floats() | st.booleans())
def test_a_quantity_is_a_whole_number_or_one_line(value: object) -> None:
    try:
        assert quantity(At(Path("f"), "limits.cpu", value)) >= 0
    except UserError as error:
        assert str(error).startswith("f: limits.cpu: must be ")


def test_a_product_says_its_kind_by_its_memory() -> None:
    assert of_product("NVIDIA-H100-80GB-HBM3", ()) == "H100-80GB"
    assert of_product("NVIDIA-A100-SXM4-40GB", ()) == "A100-40GB"
    assert of_product("NVIDIA-A100-SXM4", ()) is None


def test_a_plan_counts_on_what_may_be_added(ntlbg: Ntlbg, write: Write, tmp_path: Path) -> None:
    suite = ROOT / "configs/quickstart.json"
    lab = tmp_path / "lab.json"
    lab.write_text('{"name": "lab", "groups": [{"profile": "V100-32GB", "gpus": 1}]}')
    words = ("plan", suite, "--no-trace", "--inventory", lab, "--json")
    alone = ntlbg(*words)
    grown = ntlbg(*words, "--autoscaler", write(RAY))
    assert '"name": "big"' in grown and '"name": "big"' not in alone
    missing = ntlbg(*words, "--autoscaler", tmp_path / "none.yaml")
    assert missing == f"ntlbg: {tmp_path / 'none.yaml'}: no such file\n"


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS + "available_node_types: *a9\n", "aliases .* more than 100000 values"),
        (LAUGHS + "apiVersion: ray.io/v1\nkind: *a9\n", "aliases .* more than 100000 values"),
        ("a: &a {<<: *a}\navailable_node_types: *a\n", "aliases .* more than 100000 values"),
        ("available_node_types: &a [*a]\n", "aliases .* more than 100000 values"),
        ("a: " + "[" * 5000 + "\n", "is nested too deeply"),
        ("available_node_types: {a: {max_workers: " + "9" * 5000 + "}}\n", "not YAML: "),
        ("apiVersion: ray.io/v1\nkind: [x]\n", "kind: must be one of RayCluster"),
        (KUBERAY.replace("Tesla-V100-SXM2-32GB", "[x]"), "gpu.product: must be a text"),
        ("#" * 1024**2 + "\n", "has more than 1024 KiB"),
    ],
)
def test_a_file_that_would_eat_the_machine_is_one_line(write: Write, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        load_node_types(write(text))
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_anchors_that_a_cluster_has_are_read(write: Write) -> None:
    text = RAY.replace("{CPU: 48,", "&big {CPU: 48,").replace("{CPU: 96, GPU: 8}", "*big")
    volta, big = load_node_types(write(text))
    assert (big.cores, big.host_memory_gib) == (volta.cores, volta.host_memory_gib)
