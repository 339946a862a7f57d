"""The Python runtime as a program of its own, for functions that set variables which Python reads
when it starts (PYTHONPATH, LD_PRELOAD, ...) or that wrap it in a script."""

import importlib
import os
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
python = importlib.import_module("inside.python")
del sys.path[0]
sys.path.append("/var/runtime")
python.preload(os.environ.get("AWS_EXECUTION_ENV", ""), "")
python.serve({})
