"""A real S3 server on loopback, in this process: moto's, which checks keys and policies once it is told to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import requests
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST", "AWS_SECRET_ACCESS_KEY": "secret-that-nobody-shows"}


class Buckets:
    """The server, and what a test does to it.

    Attributes:
        url: of the server.
        variables: those by which its buckets are reached; no machine is asked for more.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.variables = {
            **KEYS, "AWS_ENDPOINT_URL": url, "AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"
        }  # fmt: skip

    def client(self, service: str = "s3") -> Any:
        """boto3's client with all rights."""
        names = ("aws_access_key_id", "aws_secret_access_key")
        keys = dict(zip(names, KEYS.values(), strict=True))
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, **keys)

    def fill(self, bucket: str, bodies: dict[str, bytes]) -> None:
        """Make a bucket with these objects."""
        self.client().create_bucket(Bucket=bucket)
        for key, body in bodies.items():
            self.client().put_object(Bucket=bucket, Key=key, Body=body)

    def read(self, bucket: str) -> dict[str, bytes]:
        """All objects of a bucket."""
        keys = [each["Key"] for each in self.client().list_objects_v2(Bucket=bucket).get("Contents", ())]
        return {key: self.client().get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def guard(self, *statements: dict[str, Any]) -> dict[str, str]:
        """From now on look at keys; the variables of somebody who may do what the statements allow."""
        iam = self.client("iam")
        iam.create_user(UserName="user")
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.put_user_policy(UserName="user", PolicyName="policy", PolicyDocument=policy)
        key = iam.create_access_key(UserName="user")["AccessKey"]
        self._say("reset-auth", b"0")
        own = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        return self.variables | own

    def reset(self) -> None:
        """Without buckets, users and guard."""
        self._say("reset-auth", b"inf")
        self._say("reset", b"")

    def _say(self, word: str, body: bytes) -> None:
        told = requests.post(
            f"{self.url}/moto-api/{word}", data=body, headers={"Content-Type": "text/plain"}, timeout=30
        )
        told.raise_for_status()


@contextmanager
def serving() -> Iterator[Buckets]:
    """The server while this lasts."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield Buckets("http://{}:{}".format(*server.get_host_and_port()))
    finally:
        server.stop()
