"""Traces to call graphs: formats, spans, hops, calls."""
