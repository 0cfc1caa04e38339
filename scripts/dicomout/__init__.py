"""A scored series as DICOM objects: source headers and server replies in, a report, a map and captures out.

Pure functions: nothing here reads a file, a clock or a socket, so the same input gives the same bytes.
"""
