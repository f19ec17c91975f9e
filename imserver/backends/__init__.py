"""Cellars, cut by engine.

Each gives store, feed, directory and bus (`imserver.services.ports`) over one
set of connections. Siblings never import one another; all of them pass the
same contract suite (`tests/contracts`).
"""
