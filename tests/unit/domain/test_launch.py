"""What goes to a runner and comes back survives JSON."""

import json
from dataclasses import replace

import pytest

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.launch import (
    CheckpointMarker,
    ExitRecord,
    LaunchSpec,
    MetricLine,
    Record,
    Trial,
    Work,
    to_json,
)
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.resolve import parse
from tests.support.builders import cpu_fit, tiny_config

CONFIG = tiny_config()
SPEC = LaunchSpec(
    launch_id="l",
    run_id="r",
    attempt=2,
    work=Work.TRAIN,
    config=CONFIG,
    seed=1,
    fit=cpu_fit(CONFIG),
    storage="s",
    data_root="d",
    cache="c",
    resume_from="s/checkpoint",
)
TRIAL = Trial(
    name="trial-001",
    point={"video.num_representatives": 16},
    config=CONFIG,
    fit=cpu_fit(CONFIG),
)


@pytest.mark.parametrize(
    "record",
    [
        SPEC,
        replace(SPEC, work=Work.SWEEP, trials=(TRIAL,)),
        ExitRecord(run_id="r", attempt=1, finished=True, ended_at=1.5, results={"a/b": 0.5}),
        ExitRecord(
            run_id="r",
            attempt=1,
            finished=False,
            failure=FailureClass.OUT_OF_MEMORY,
            message="m",
            ended_at=2.0,
        ),
        MetricLine(attempt=1, step=5, time=3.0, values={"loss": 0.1}),
        CheckpointMarker(attempt=1, step=20, path="p"),
    ],
    ids=lambda record: type(record).__name__,
)
def test_a_record_survives_json(record: Record) -> None:
    text = json.dumps(to_json(record))
    assert parse(type(record), json.loads(text), "f") == record


def test_a_record_of_another_version_is_refused() -> None:
    values = dict(to_json(MetricLine(attempt=1, step=1, time=1.0, values={})))
    with pytest.raises(UserError, match=r"^f: tme: unknown key; did you mean 'time'\?"):
        parse(MetricLine, values | {"tme": 1.0}, "f")
