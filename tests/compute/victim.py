"""Run by test_isolation and then killed: sandboxes of two runtimes, one of them busy."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from skyfold.compute.processes import family_of
from skyfold.compute.supervisor import Supervisor
from tests.compute.workshop import Workshop


async def main(folder: Path, name: str) -> None:
    supervisor = Supervisor(roots=(folder,))
    await supervisor.start()
    workshop = Workshop(folder, supervisor)
    idle = workshop.python("def handler(event, context):\n    return 1\n")
    busy = workshop.python(
        "import subprocess, time\ndef handler(event, context):\n"
        "    subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "    print('started')\n    time.sleep(600)\n",
        timeout_s=900,
    )
    await workshop.invoke(idle)
    started = asyncio.Event()
    running = asyncio.create_task(
        workshop.invoke(busy, on_log=lambda event: started.set()), name=name
    )
    await started.wait()
    print(*(pid for pid in family_of(os.getpid()) if pid != os.getpid()), flush=True)
    await running


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
