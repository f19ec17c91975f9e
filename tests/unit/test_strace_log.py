"""The reader of traces must notice what it is there to notice."""

from twisted.trial.unittest import SynchronousTestCase

from tests.e2e.strace_log import unproven

WRITE = '10 pwrite64(5</d/imserver.db-wal>, "..mark-1..", 4096, 0) = 4096'
SYNC = "10 fdatasync(5</d/imserver.db-wal>) = 0"
SYNC_BEGINS = "10 fdatasync(5</d/imserver.db-wal> <unfinished ...>"
SYNC_ENDS = "10 <... fdatasync resumed>) = 0"
ACK = '11 sendto(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "..id-1..", 20, 0, NULL, 0) = 20'
PUSH = '11 sendto(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "..mark-1..", 20, 0, NULL, 0) = 20'
ROWS = {"mark-1": "id-1"}


class Reading(SynchronousTestCase):
    def test_the_right_order(self) -> None:
        for sync in ([SYNC], [SYNC_BEGINS, SYNC_ENDS]):
            self.assertEqual(unproven([WRITE, *sync, ACK, PUSH], ROWS), [])

    def test_told_before_the_sync(self) -> None:
        for told in (ACK, PUSH):
            self.assertEqual(len(unproven([WRITE, told, SYNC], ROWS)), 1)

    def test_told_while_the_sync_was_under_way(self) -> None:
        self.assertEqual(len(unproven([WRITE, SYNC_BEGINS, ACK, SYNC_ENDS], ROWS)), 1)

    def test_a_sync_that_began_before_the_row_was_written(self) -> None:
        self.assertEqual(len(unproven([SYNC_BEGINS, WRITE, SYNC_ENDS, ACK], ROWS)), 1)

    def test_a_sync_that_failed_or_was_of_another_file(self) -> None:
        for sync in (SYNC.replace("= 0", "= -1 EIO"), SYNC.replace("imserver.db-wal", "imserver.db")):
            self.assertEqual(len(unproven([WRITE, sync, ACK], ROWS)), 1)

    def test_a_message_that_was_never_seen(self) -> None:
        self.assertEqual(len(unproven([WRITE, SYNC], ROWS)), 1)
        self.assertEqual(len(unproven([ACK], ROWS)), 2)
