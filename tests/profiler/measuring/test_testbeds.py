"""What a testbed keeps of its hops."""

from profiler.measuring.profiling import default_toolbox
from profiler.measuring.testbeds import LocalTestbed
from profiler.planning.settings import ProfileSettings
from profiler.vocabulary.hop import Hop


def test_the_kept_configuration_of_a_waypoint_is_not_that_of_a_sidecar() -> None:
    testbed = LocalTestbed(default_toolbox().servers, ProfileSettings())
    kept = {hop: testbed.configuration(hop) for hop in (Hop("http1", "server"), Hop("http1", "waypoint", tls="mtls"))}
    assert ["internal_listener" in text for text in kept.values()] == [False, True]
    assert all("http_connection_manager" in text for text in kept.values())
