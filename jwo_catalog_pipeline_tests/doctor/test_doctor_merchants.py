"""What the doctor of a merchant looks at, where several share a Dagster instance."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData

from jwo_catalog_pipeline.defs.instance import SENSORS, look_at_instance
from jwo_catalog_pipeline.defs.merchants import merchant_tags


def test_the_doctor_of_a_merchant_looks_at_its_own_sensors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sensors have the same names in each code location."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    now = datetime.now(UTC).timestamp()
    with dg.DagsterInstance.get() as instance:
        for name, status in (("north", InstigatorStatus.STOPPED), ("south", InstigatorStatus.DECLARED_IN_CODE)):
            location = GrpcServerCodeLocationOrigin("localhost", 4000, location_name=name)
            repository = RemoteRepositoryOrigin(location, "__repository__")
            for sensor in SENSORS:
                origin = RemoteInstigatorOrigin(repository, sensor)
                data = SensorInstigatorData(last_tick_timestamp=now)
                instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, status, data))
            run = dg.DagsterRun("catalog_upload_job", tags=merchant_tags(name))
            instance.run_storage.add_run(run._replace(remote_job_origin=RemoteJobOrigin(repository, run.job_name)))
    assert look_at_instance(now, "north").sensors_off == list(SENSORS)
    assert look_at_instance(now, "south").sensors_off == []
