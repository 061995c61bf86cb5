"""The demo: the sample catalog through the whole pipeline, against the sandbox."""
