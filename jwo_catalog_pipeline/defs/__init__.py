"""The Dagster objects: assets, checks, schedules, sensors, resources. No package below this one imports Dagster."""
