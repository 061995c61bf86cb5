"""Keeps Amazon's copy of a Just Walk Out store's catalog right: a Dagster data-asset pipeline."""
