"""Pure parts of Lambda: names, policies, event shapes."""
