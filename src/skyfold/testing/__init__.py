"""Testing with Skyfold: a pytest plugin and an in-process cloud."""
