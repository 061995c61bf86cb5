"""A local stand-in for AWS and for Amazon's JWO service, for the demo and the tests.

It is an independent witness: it imports nothing from the rest of the project, and nothing imports it. Start it with
`python -m jwo_catalog_pipeline.sandbox`. What it takes for granted about Amazon is no more than what is documented.
"""
