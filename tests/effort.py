"""The effort of the generated tests: a bounded, repeatable run, or thousands of examples."""

import os

from hypothesis import HealthCheck, settings

# Removed, because a server started by the tests would refuse a setting that it does not know.
_FUZZ = os.environ.pop("HEALTHREPORTS_FUZZ", "") == "1"

settings.register_profile(
    "bounded",
    derandomize=True,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "fuzz",
    print_blob=True,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def effort(bounded: int, fuzz: int, **more: int) -> settings:
    """Return the settings for a test: `bounded` examples in a bounded run, `fuzz` when fuzzing."""
    profile = settings.get_profile("fuzz" if _FUZZ else "bounded")
    return settings(profile, max_examples=fuzz if _FUZZ else bounded, **more)


# How often a test with the mark `race` runs.
RACES = 30 if _FUZZ else 1

# The longest time, in seconds, in which 99 of 100 requests of somebody else must be answered during
# an attack. Five workers of pytest share two cores in a bounded run, so its limit is wider.
P99_S = 1.0 if _FUZZ else 3.0
