"""A real redis-server for tests, and a way to speak to it within one call."""
