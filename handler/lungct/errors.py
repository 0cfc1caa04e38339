"""The failures a client can meet, each with a stable code and an HTTP status.

code                 status  when
-------------------  ------  -------------------------------------------------------
empty_body           400     no image bytes arrived
bad_option           400     an X- header or form field has a value we do not know
too_many_bytes       413     the file is larger than the byte limit
too_many_pixels      413     the header declares more pixels than the limit
unsupported_format   415     the bytes are no image format we read
corrupt_image        422     the format is right, the content cannot be decoded
not_a_ct_slice       422     decodable, but no axial chest-CT slice
unsupported_dicom    422     a DICOM object we do not score (modality, view, encoding)
internal             500     our fault; logged once with the request id
busy                 503     more large pictures were asked for than one batch may draw; the same request will do later
"""

from __future__ import annotations

STATUS: dict[str, int] = {
    "empty_body": 400,
    "bad_option": 400,
    "too_many_bytes": 413,
    "too_many_pixels": 413,
    "unsupported_format": 415,
    "corrupt_image": 422,
    "not_a_ct_slice": 422,
    "unsupported_dicom": 422,
    "internal": 500,
    "busy": 503,
}

# TorchServe writes the phrase with a length counted in characters: anything but ASCII corrupts its
# worker protocol, and a line break kills the worker. So phrases come from this table alone.
PHRASES: dict[int, str] = {
    200: "OK",
    400: "Bad Request",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class LungCTError(Exception):
    """An expected failure of one request.

    Args:
        code: a key of `STATUS`.
        message: one sentence that says what to do. It reaches the client, so it never holds file
            names, tag values or pixels.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUS[code]

    def strip(self) -> LungCTError:
        """This error without the way that it came, to be kept as a value.

        The calls on that way hold the file and its pixels, and one of them the error: of large pictures gigabytes would
        stay until Python's collector comes by.
        """
        self.__traceback__ = self.__cause__ = self.__context__ = None
        return self


class ModelFolderError(Exception):
    """The model folder is not what its model.json says; the server must not start with it."""
