"""Tables in, tables out: reading, mapping, validating and comparing catalogs; knows neither Dagster nor AWS."""
