"""Bytes to model and back, sans-I/O: one codec per format, each in both roles.

Self-contained: imports `imserver.model` and nothing else of the project, no
Twisted. Client programs use it as a library.
"""
