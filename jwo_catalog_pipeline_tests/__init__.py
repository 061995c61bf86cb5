"""Tests: one module per module, plus end-to-end; through real HTTP, real signatures, and moto as its own process."""
