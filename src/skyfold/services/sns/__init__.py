"""Amazon SNS: topics that pass every message on to whoever has subscribed to it."""
