"""The real process, started by twistd, seen through sockets and its exit code."""
