"""How a run is started on ECS (deploy/dagster.yaml): as `EcsRunLauncher` does it, with an exit code that tells.

https://docs.dagster.io/deployment/oss/deployment-options/aws
"""

from typing import Any

from dagster_aws.ecs import EcsRunLauncher


class TellingEcsRunLauncher(EcsRunLauncher):
    """Has a run's task end with 1 where the run failed.

    A run that loses Dagster's database cannot note that it failed. By itself its task then ends with 0, which run
    monitoring takes for a run that is well: it would stay "started", and hold the pool of uploaders, for hours.
    """

    def _get_command_args(self, run_args: Any, context: Any) -> list[str]:
        telling = type(run_args)(
            run_args.job_origin, run_args.run_id, run_args.instance_ref, set_exit_code_on_failure=True
        )
        return list(super()._get_command_args(telling, context))
