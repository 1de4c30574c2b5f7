"""The machine that MeshInsight runs on: its Python interpreter."""
