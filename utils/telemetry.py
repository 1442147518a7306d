"""Switch off the telemetry of dependencies: what the user does stays on the user's machine.

Each variable must be set before its package is imported. A system-call trace, not the documentation, tells whether
it works: tests/test_privacy.py runs every script under one.
"""

import os

OPT_OUTS = {
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime from 1.29 on writes a device id and queries DNS for a collector
}


def disable_telemetry() -> None:
    """Set the variables that keep every dependency from sending anything."""
    os.environ.update(OPT_OUTS)
