"""How long an attempt may be silent."""

import pytest

from ntlbg_service.domain.liveness.timeouts import Timeouts

PATIENCE = Timeouts(heartbeat=10.0, startup=100.0, progress=50.0)


@pytest.mark.parametrize(
    ("still", "idle", "beats", "begun", "words"),
    [
        (10.0, 0.0, True, True, ""),
        (11.0, 11.0, True, True, "no sign of life for 11 s"),
        (11.0, 11.0, False, False, ""),
        (101.0, 101.0, False, False, "no sign of life for 101 s"),
        (2.0, 50.0, True, True, ""),
        (2.0, 51.0, True, True, "alive, but no step and no answer for 51 s"),
        (2.0, 5000.0, True, False, ""),
    ],
)
def test_what_counts_as_hung(
    still: float, idle: float, beats: bool, begun: bool, words: str
) -> None:
    assert PATIENCE.hung(still, idle, beats=beats, begun=begun) == words
