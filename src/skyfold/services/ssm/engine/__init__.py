"""Pure parts of Parameter Store: names and sealing."""
