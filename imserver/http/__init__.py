"""HTTP: the sites that carry WebSockets and REST."""
