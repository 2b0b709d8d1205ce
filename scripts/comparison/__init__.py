"""Compares what onlay and BuildKit make of the same Dockerfile; `scripts/compare-with-docker` is its command line."""
