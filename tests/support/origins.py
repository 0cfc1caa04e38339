"""Ids as callers send them: those that are taken, and those that are dropped."""

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
GOOD_IDS = (
    "6f1d0c0e-6a3c-4f5e-9d43-1c5f6d2b8a10",  # a UUID
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",  # a ULID
    "V1StGXR8_Z5jdHi6B-myT",  # a nanoid
    "a" * 20,
    "a" * 64,
)
BAD_IDS = (
    "", "a" * 19, "a" * 65, "1.2.840.113619.2.55.3.604688119", "DOE^JOHN^19700101^MALE", "John Doe of the second ward",
    'abcdefghijklmnopqrst"}', "abcdefghijklmnopqrst, abcdefghijklmnopqrst", "abcdefghijklmnopqrst;", "é" * 20,
)  # fmt: skip
BAD_TRACES = (
    "", TRACE_ID, TRACEPARENT.upper(), TRACEPARENT + "-", TRACEPARENT + " x", TRACEPARENT[:-1], "01" + TRACEPARENT[2:],
    "ff" + TRACEPARENT[2:], f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE_ID}-{'0' * 16}-01",
    f"00-{TRACE_ID}-00f067aa0ba902bg-01", f"{TRACEPARENT}, {TRACEPARENT}",
)  # fmt: skip
