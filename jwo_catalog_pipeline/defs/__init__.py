"""Everything of Dagster: assets, checks, jobs, schedules, sensors, resources. The only floor that imports dagster."""
