"""The wire format `qdatastream`: document 000, Qt's QDataStream over TCP.

Everything a client author needs is in docs/wire/qdatastream.md.
"""

from imserver.wire.qdatastream.client import QDataStreamClientCodec
from imserver.wire.qdatastream.framing import FrameCutter, Framing, InputStream, add_length
from imserver.wire.qdatastream.opening import NotAnOpening
from imserver.wire.qdatastream.server import QDataStreamServerCodec
from imserver.wire.qdatastream.strings import StringForm
from imserver.wire.qdatastream.unframed import PATIENCE, UnframedParser

__all__ = [
    "PATIENCE",
    "FrameCutter",
    "Framing",
    "InputStream",
    "NotAnOpening",
    "QDataStreamClientCodec",
    "QDataStreamServerCodec",
    "StringForm",
    "UnframedParser",
    "add_length",
]
