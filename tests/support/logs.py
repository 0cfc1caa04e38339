"""Logs that another process writes meanwhile: their whole lines."""

from tests.support.calls import wait_found


def read_lines(log):
    """The lines that have their end: the last one may be half there. None of a log that is not there."""
    try:
        text = log.read_text()
    except FileNotFoundError:  # just put aside
        return []
    return text[: text.rfind("\n") + 1].splitlines()


def await_line(log, word):
    """The first line with this word, once it is there: it may follow the answer that it tells of."""
    return wait_found(lambda: [line for line in read_lines(log) if word in line], 60, f"a line with {word}")[0]
