"""The API of STS."""
