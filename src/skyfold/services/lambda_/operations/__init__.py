"""The operations of Lambda, a module per noun."""
