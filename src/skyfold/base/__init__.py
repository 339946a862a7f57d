"""What everything else stands on: time, ids, errors, ARNs, settings."""
