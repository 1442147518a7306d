"""Switch off the telemetry of dependencies: what the user does stays on the user's machine.

This must be done before a package is imported. A system-call trace, not the documentation, tells whether it works:
tests/test_privacy.py runs every script under one.
"""

import os
import sys

OPT_OUTS = {
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime from 1.29 on writes a device id and queries DNS for a collector
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray reports the machines of a cluster, unless it is told not to
}
# A package that exists to send: openvino writes an id into ~/intel and reports its import, unless it is missing.
SENDERS = ("openvino_telemetry",)


def disable_telemetry() -> None:
    """Set the variables that keep dependencies from sending anything, and hide the packages that only send."""
    os.environ.update(OPT_OUTS)
    for package in SENDERS:
        sys.modules[package] = None  # type: ignore[assignment]  # Python's way to let an import fail
