"""CrewAI asks when it is imported whether it may send telemetry, and where it keeps what it learns."""

import os
import tempfile

os.environ |= {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_TRACKING": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "CREWAI_TESTING": "true",
    "CREWAI_STORAGE_DIR": tempfile.mkdtemp(),
    "OTEL_SDK_DISABLED": "true",
}
