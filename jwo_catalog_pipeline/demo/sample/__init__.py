"""A small grocery export and its field mapping, to try the pipeline with."""
