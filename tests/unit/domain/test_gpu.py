"""Whether a run may go to a GPU, and which GPUs Ray hands out."""

from typing import Any

import pytest

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.hardware.gpu import Gpu, GpuProcess, offered, ray_name
from ntlbg_service.domain.hardware.node_label import start_words


def a_gpu(index: int = 0, **changes: Any) -> Gpu:
    said = {"product": "NVIDIA A100-SXM4-80GB", "memory_gib": 79.3, "used_gib": 0.0}
    return Gpu(**{"index": index, "uuid": f"GPU-{index}", **said, **changes})


def held(*processes: tuple[float | None, bool | None], used: float = 0.0) -> Gpu:
    rows = (GpuProcess(pid=n, memory_gib=m, ours=o) for n, (m, o) in enumerate(processes, 1))
    return a_gpu(processes=tuple(rows), used_gib=used)


def test_what_is_unknown_speaks_against_no_gpu() -> None:
    assert Gpu(index=0).health.usable
    assert a_gpu(ecc_errors=0, repair_pending=False, mig=False, processes=()).health.words == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"error": "GPU is lost"}, "sick: NVML says 'GPU is lost'"),
        ({"ecc_errors": 3}, "sick: 3 uncorrected ECC errors since its driver was loaded"),
        ({"repair_pending": True}, "sick: a bad page or row waits for a reset of the GPU"),
        ({"repair_failed": True}, "sick: a bad row could not be replaced"),
        ({"mig": True}, "sick: MIG is on and has no slice"),
        (
            {"ecc_errors": 1, "repair_failed": True},
            "sick: 1 uncorrected ECC errors since its driver was loaded, a bad row could not be "
            "replaced",
        ),
    ],
)
def test_a_sick_gpu_says_why(changes: dict[str, Any], words: str) -> None:
    gpu = a_gpu(**changes)
    assert gpu.health.words == words and not gpu.health.usable


def test_a_slice_of_a_card_with_mig_is_well() -> None:
    assert a_gpu(mig=True, slice=0).health.usable


@pytest.mark.parametrize(
    ("gpu", "words"),
    [
        (held((0.9, False)), ""),
        (held((0.6, False), (0.6, False)), "busy: 1.2 GiB held by process 1, 2"),
        (held((30.0, True), (0.5, False)), ""),
        (held((30.0, None)), ""),
        (held((9.0, False), (9.0, False), (9.0, False)), "busy: 27.0 GiB held by process 1 and 2"),
        # NVML does not say how much: all that is used is theirs, where none of it can be ours.
        (held((None, False), used=40.0), "busy: 40.0 GiB held by process 1"),
        (held((None, False), (30.0, True), used=40.0), ""),
    ],
)
def test_memory_that_others_hold_makes_it_busy(gpu: Gpu, words: str) -> None:
    assert gpu.health.words.startswith(words) and bool(gpu.health.words) is bool(words)


def test_ray_hands_out_the_first_of_the_visible_ones() -> None:
    gpus = tuple(a_gpu(index) for index in range(4))

    def indices(devices: int, *visible: str) -> list[int]:
        return [gpu.index for gpu in offered(gpus, devices, visible or None)]

    assert indices(2) == [0, 1]
    assert indices(2, "3", "GPU-1", "0") == [3, 1]
    assert indices(4, "7", "3") == [3]
    assert offered(gpus, 4, ()) == ()
    assert ray_name(gpus[3], 0, None) == "0"
    assert ray_name(gpus[3], 1, ("0", "GPU-3")) == "GPU-3"


def test_a_node_is_started_with_the_kind_that_most_of_its_gpus_are_of() -> None:
    small = {"product": "Tesla V100-SXM2-32GB", "memory_gib": 31.7}
    assert start_words([a_gpu(0), a_gpu(1)], ()) == ("A100-80GB", 2, (), ())
    kind, count, visible, notes = start_words(
        [a_gpu(0), a_gpu(1, **small), a_gpu(2), a_gpu(3, error="GPU is lost")], ()
    )
    assert (kind, count, visible) == ("A100-80GB", 2, ("GPU-0", "GPU-2"))
    assert notes == (
        "left out: GPU 1 (Tesla V100-SXM2-32GB 31.7 GiB): V100-32GB",
        "left out: GPU 3 (NVIDIA A100-SXM4-80GB 79.3 GiB): sick: NVML says 'GPU is lost'",
    )


def test_a_node_with_no_gpu_to_use_is_told_what_there_is() -> None:
    with pytest.raises(UserError, match=r"has none \(NVML: Driver Not Loaded\); --kind names"):
        start_words([], (), "Driver Not Loaded")
    with pytest.raises(UserError, match=r"GPU 0 \(Quadro 7.0 GiB\): of no known kind; --kind is"):
        start_words([a_gpu(product="Quadro", memory_gib=7.0)], ())
