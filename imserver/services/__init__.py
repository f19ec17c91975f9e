"""The domain: what a messaging server knows. No bytes, no sockets, no format names."""
