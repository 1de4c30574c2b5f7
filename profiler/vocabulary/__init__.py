"""Words that every step shares: components, roles, hops, loads, temperatures, addresses, event kinds. Pure: no I/O."""
