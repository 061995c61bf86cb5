"""The command line `jwo-catalog`."""
