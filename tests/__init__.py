"""The tests. `tests.effort` says how long the repeated ones go on."""

from hypothesis import HealthCheck, settings

from tests.effort import EFFORT

# No deadline: the machine may be busy with something else.
_SLOW = [HealthCheck.too_slow]
settings.register_profile(
    "test", deadline=None, max_examples=100, suppress_health_check=_SLOW, print_blob=True
)
settings.register_profile("prove", settings.get_profile("test"), max_examples=1_000)
settings.register_profile("full", settings.get_profile("test"), max_examples=10_000)
settings.load_profile(EFFORT)
