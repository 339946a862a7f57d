"""The command ``skyfold``: the server at once, everything else through the command line."""

from __future__ import annotations

import sys


def main() -> int:
    """``skyfold up`` skips the command line's libraries: start-up is a feature."""
    if sys.argv[1:2] == ["up"]:
        from skyfold.server.main import main as up

        return up(sys.argv[2:])
    from skyfold.cli.app import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
