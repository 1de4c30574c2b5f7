"""What Kubernetes manifests say of a call graph, one file per question: objects, ports, injection, mTLS, addresses."""
