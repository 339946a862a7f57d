"""The machinery that brings a stack from one definition to another, step by durable step."""
