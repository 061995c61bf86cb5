"""The upload protocol: what is sent when, what is recorded before it, and how every item's outcome is found.

Depends on `catalog_api` and `storage`; knows no Dagster.
"""
