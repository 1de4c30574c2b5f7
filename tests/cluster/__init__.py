"""Tests on a real Kubernetes cluster, and the means to start one without any container registry."""
