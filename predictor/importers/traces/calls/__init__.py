"""From hops to the calls of a graph: order, statistics, cycles."""
