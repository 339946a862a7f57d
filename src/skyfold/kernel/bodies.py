"""Bodies that came framed, signed in chunks, or too large to be collected at the door."""

from __future__ import annotations
