"""A redo log over 64-bit words of shared memory: a change happens as a whole, or not at all.

Written and read under a lock.  First the whole change goes into the log, then the log's length: from that
store on it is going to happen.  Then the words themselves are set.  Who is killed before the length was
stored has changed nothing; who is killed after it has left a complete log, and the next holder of the lock
stores the same values once more.  SIGKILL leaves a prefix of these stores, so no other order can be seen.
"""

__all__ = ["Journal"]


class Journal:
    """`commit` makes a change; `redo` finishes the one that a killed process left half-made."""

    def __init__(self, words: memoryview, log: memoryview) -> None:
        self._words = words
        self._log = log  # its length, then word, value, word, value …

    def commit(self, changes: dict[int, int]) -> None:
        """Set `words[index] = value` for each of the changes."""
        log = self._log
        place = 1
        for word, value in changes.items():
            log[place] = word
            log[place + 1] = value
            place += 2
        log[0] = len(changes)
        self.redo()

    def redo(self) -> int:
        """Store what the log says; how many words that was, 0 when nothing was half-made."""
        words, log = self._words, self._log
        length: int = log[0]
        for place in range(1, 2 * length, 2):
            words[log[place]] = log[place + 1]
        log[0] = 0
        return length
