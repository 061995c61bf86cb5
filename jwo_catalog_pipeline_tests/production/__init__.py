"""A deployment as deploy/ has it, on this machine: `make test-production`."""
