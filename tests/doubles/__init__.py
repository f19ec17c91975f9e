"""Stand-ins for what the services are handed: small, honest, without a disk."""
