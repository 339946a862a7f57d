"""What runs on the sealed side: executed by the interpreter of each runtime, Python 3.9 or later,
with nothing but the standard library. Nothing here may import the rest of Skyfold."""
