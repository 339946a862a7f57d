"""The wire: AWS's protocols, compiled once per operation from botocore's models."""
