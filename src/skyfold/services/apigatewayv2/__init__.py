"""Amazon API Gateway V2: HTTP APIs."""
