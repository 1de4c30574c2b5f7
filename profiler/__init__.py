"""Measures one hop of a service mesh: testbed, probes, attribution and the profile they end in."""
