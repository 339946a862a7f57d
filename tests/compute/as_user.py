"""Run by test_isolation as another user: one function, and the attacks."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from skyfold.compute.supervisor import Supervisor
from tests.compute import attacks
from tests.compute.workshop import Workshop, value


async def main(secret: str, port: int, abstract: str) -> None:
    folder = Path(tempfile.mkdtemp())
    supervisor = Supervisor(roots=(folder,))
    await supervisor.start()
    try:
        workshop = Workshop(folder, supervisor)
        hello = workshop.python("def handler(event, context):\n    return event\n")
        said = value(await workshop.invoke(hello, "hello"))
        world = {
            "attacks": [*attacks.EVERYWHERE, *attacks.WITH_NAMESPACES],
            "secret": secret,
            "neighbour": str(Path(secret).parent),
            "platform": os.getpid(),
            "port": port,
            "lan": ["127.0.0.1", port],
            "abstract": abstract,
        }
        spec = workshop.python(attacks.SOURCE, timeout_s=20)
        found = value(await workshop.invoke(spec, world))
    finally:
        await supervisor.stop()
    through = {name: what for name, what in found.items() if not what.startswith("refused")}
    print(f"level {supervisor.level}: {said}, {through or 'nothing got through'}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
