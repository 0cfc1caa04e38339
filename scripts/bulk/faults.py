"""What a bucket's server says when it will not, as a sentence of ours.

Its own answers are never shown: they repeat the key and what was signed with it.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lungct_tools.packages.lacking import explain_lacking

REGION = ("AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
REDIRECTED = "incorrectly configured region"
METADATA = "/latest/api/token"  # what a machine without credentials asks of its cloud
CREDENTIALS = {  # what its tools read them from
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "abfs": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


class BucketError(Exception):
    """A bucket cannot be used as it is named; the message says what to do."""


class UnavailableError(BucketError):
    """A bucket's server does not do what it should; it may later."""


class DeniedError(BucketError):
    """Something in a bucket may not be read or written."""


@contextmanager
def telling(root: str, key: str = "") -> Iterator[Any]:
    """obstore, whose faults are ours within it.

    Args:
        root: of the bucket, without any key.
        key: of the object that it is about.

    Raises:
        FileNotFoundError, FileExistsError: of the object, as of a file.
        BucketError: all else.
    """
    try:
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError, InvalidPathError, PreconditionError
    except ImportError:
        lacking = explain_lacking("s3") or "The package obstore is not installed."
        raise BucketError(f"{root} cannot be read: {lacking}") from None
    try:
        yield obstore
    except AlreadyExistsError:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), f"{root}/{key}") from None
    except PreconditionError:
        raise BucketError(f"{root}/{key} was replaced while it was read; start again.") from None
    except InvalidPathError:
        raise BucketError(f"{root}/{key} holds a name with '//', '.' or '..', as no file has; rename it.") from None
    except (BaseError, FileNotFoundError, ValueError) as fault:
        raise _explain(fault, root, key) from None


def lack_credentials(root: str) -> str:
    """The sentence for who has no credentials, or half of them."""
    return f"There are no credentials for {root}; set {CREDENTIALS[root.partition(':')[0]]}."


def read_code(fault: Exception) -> str:
    """The code of a refusal by S3, else its HTTP status, else ""."""
    told = str(fault)
    found = re.search(r"<Code>(\w+)</Code>", told) or re.search(r"status code: (\d+)", told)
    return found[1] if found else ""


def _explain(fault: Exception, root: str, key: str) -> Exception:
    code = read_code(fault)
    if code == "NoSuchBucket":
        return BucketError(f"There is no bucket {root}; look at its name, at AWS_ENDPOINT_URL and AWS_REGION.")
    if isinstance(fault, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), f"{root}/{key}")
    if code in REGION or REDIRECTED in str(fault):
        return BucketError(f"{root} lies in another region; name it by AWS_REGION.")
    if METADATA in str(fault):
        return BucketError(lack_credentials(root))
    if "status code: 403" in str(fault) or "status code: 401" in str(fault):
        told = "may not be used with these credentials"
        return DeniedError(f"{root}/{key} {told} ({code}); look at them, or ask its owner.")
    return UnavailableError(f"{root} does not answer as it should ({code or 'no connection'}); run it again later.")
