"""Pure parts of CloudWatch Logs: filter patterns."""
