"""Haystack asks when it is imported whether it may send telemetry."""

import os

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
