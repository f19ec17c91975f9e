"""Tests of the cellars."""
