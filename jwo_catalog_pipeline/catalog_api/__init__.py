"""The remote contract: requests, signed calls, answers, notifications and reports of the JWO Catalog API.

Knows neither Dagster nor DynamoDB. Whatever Amazon's documentation leaves open is decided here, once,
behind a constant or a tolerant reader.
"""
