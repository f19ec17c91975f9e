"""The embedded cellar: everything in one process and one SQLite file.

How a message becomes durable, in the order of the modules:

1. `appends` decides on the reactor thread, in memory, at the end of the reactor turn: target (`targets`),
   dedupe (`dedupe`), rate, message id, conversation position and every inbox
   number. It leaves one record, one answer and one feed entry in the batch
   that `journal` keeps open for this reactor turn.
2. `committer` takes all batches that wait into one transaction on the writer
   thread, commits, and tells the reactor thread once a commit.
3. `journal` releases the answers and the feed. If the commit failed it refuses
   everything that was waiting and has `memory` read back from the disk.

The log (`records`) is the truth. Inbox, conversation and dedupe indexes are
kept in memory for its tail (`tails`) and written in bulk (`indexing`), up to a
watermark from which start-up reads the log again. `pages` reads, `retention`
forgets, `backup` copies, `verify` checks.

Beside the log: `change_log` keeps what devices that are away are to be told
(`changes`: revokes and receipts), `calls` the records of calls. They go through
the same writer, in the same transactions.
"""

from imserver.backends.common.data_directory import DataDirectoryError, DataDirectoryInUse
from imserver.backends.embedded.cellar import EmbeddedCellar
from imserver.backends.embedded.settings import EngineSettings

__all__ = ["DataDirectoryError", "DataDirectoryInUse", "EmbeddedCellar", "EngineSettings"]
