"""Stands in for pynvml: the collector may want to name an exception of it, which our nvgpu never raises."""
