"""Suites that every backend must pass, written against `imserver.services.ports` only."""
