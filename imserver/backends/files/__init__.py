"""Bytes of files on the local disk (`services.file_ports.Blobs`)."""

from imserver.backends.files.disk import DiskBlobs

__all__ = ["DiskBlobs"]
