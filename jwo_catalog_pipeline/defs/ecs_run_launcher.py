"""Starts runs on ECS (deploy/dagster.yaml) like `EcsRunLauncher`, but a failed run gives a failing exit code.

https://docs.dagster.io/deployment/oss/deployment-options/aws
"""

from typing import Any

from dagster_aws.ecs import EcsRunLauncher


class TellingEcsRunLauncher(EcsRunLauncher):
    """Lets the task of a failed run end with exit code 1.

    A run that loses Dagster's database cannot record its failure. By default its task then ends with 0, and run
    monitoring does not notice the failure: the run would stay "started" and block the upload pool for hours.
    """

    def _get_command_args(self, run_args: Any, context: Any) -> list[str]:
        telling = type(run_args)(
            run_args.job_origin, run_args.run_id, run_args.instance_ref, set_exit_code_on_failure=True
        )
        return list(super()._get_command_args(telling, context))
