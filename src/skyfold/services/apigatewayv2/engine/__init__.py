"""Pure parts of HTTP APIs: routing, events, answers, CORS, OpenAPI."""
