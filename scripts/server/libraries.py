"""The libraries in TorchServe's frozen jar, by the folders of their classes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

# Package in the jar -> the library that it comes from; of several that fit the longest counts. A test looks for others.
PACKAGES = {
    "android/annotation": "com.google.android:annotations",
    "com/beust/jcommander": "com.beust:jcommander",
    "com/github/javaparser": "com.github.javaparser:javaparser-core",
    "com/google/api": "com.google.api.grpc:proto-google-common-protos",
    "com/google/cloud": "com.google.api.grpc:proto-google-common-protos",
    "com/google/common": "com.google.guava:guava",
    "com/google/common/util/concurrent/internal": "com.google.guava:failureaccess",
    "com/google/errorprone": "com.google.errorprone:error_prone_annotations",
    "com/google/geo": "com.google.api.grpc:proto-google-common-protos",
    "com/google/gson": "com.google.code.gson:gson",
    "com/google/j2objc": "com.google.j2objc:j2objc-annotations",
    "com/google/logging": "com.google.api.grpc:proto-google-common-protos",
    "com/google/longrunning": "com.google.api.grpc:proto-google-common-protos",
    "com/google/protobuf": "com.google.protobuf:protobuf-java",
    "com/google/rpc": "com.google.api.grpc:proto-google-common-protos",
    "com/google/thirdparty": "com.google.guava:guava",
    "com/google/type": "com.google.api.grpc:proto-google-common-protos",
    "com/lmax/disruptor": "com.lmax:disruptor",
    "com/thoughtworks/qdox": "com.thoughtworks.qdox:qdox",
    "groovy": "org.codehaus.groovy:groovy",
    "groovyjarjarantlr": "antlr:antlr",
    "groovyjarjarantlr4/runtime": "org.antlr:antlr-runtime",
    "groovyjarjarantlr4/v4": "com.tunnelvisionlabs:antlr4",
    "groovyjarjarasm": "org.ow2.asm:asm",
    "groovyjarjarpicocli": "info.picocli:picocli",
    "io/grpc": "io.grpc:grpc-api",
    "io/grpc/inprocess": "io.grpc:grpc-core",
    "io/grpc/internal": "io.grpc:grpc-core",
    "io/grpc/netty/shaded": "io.grpc:grpc-netty-shaded",
    "io/grpc/protobuf": "io.grpc:grpc-protobuf",
    "io/grpc/protobuf/lite": "io.grpc:grpc-protobuf-lite",
    "io/grpc/stub": "io.grpc:grpc-stub",
    "io/grpc/util": "io.grpc:grpc-core",
    "io/netty": "io.netty:netty-common",  # and the parts that the jar names itself
    "io/perfmark": "io.perfmark:perfmark-api",
    "io/prometheus/client": "io.prometheus:simpleclient",
    "io/prometheus/client/exporter": "io.prometheus:simpleclient_servlet",
    "io/prometheus/client/exporter/common": "io.prometheus:simpleclient_common",
    "io/prometheus/client/filter": "io.prometheus:simpleclient_servlet",
    "javax/annotation": "com.google.code.findbugs:jsr305",
    "jline": "jline:jline",
    "junit": "junit:junit",
    "org/apache/commons/cli": "commons-cli:commons-cli",
    "org/apache/commons/compress": "org.apache.commons:commons-compress",
    "org/apache/commons/io": "commons-io:commons-io",
    "org/apache/groovy": "org.codehaus.groovy:groovy",
    "org/apache/logging/log4j": "org.apache.logging.log4j:log4j-api",
    "org/apache/logging/log4j/core": "org.apache.logging.log4j:log4j-core",
    "org/apache/logging/slf4j": "org.apache.logging.log4j:log4j-slf4j-impl",
    "org/apache/tools": "org.apache.ant:ant",
    "org/checkerframework": "org.checkerframework:checker-qual",
    "org/codehaus/groovy": "org.codehaus.groovy:groovy",
    "org/codehaus/mojo/animal_sniffer": "org.codehaus.mojo:animal-sniffer-annotations",
    "org/fusesource/hawtjni": "org.fusesource.hawtjni:hawtjni-runtime",
    "org/fusesource/jansi": "org.fusesource.jansi:jansi",
    "org/hamcrest": "org.hamcrest:hamcrest",
    "org/junit": "junit:junit",
    "org/junit/jupiter/api": "org.junit.jupiter:junit-jupiter-api",
    "org/junit/jupiter/engine": "org.junit.jupiter:junit-jupiter-engine",
    "org/junit/platform/commons": "org.junit.platform:junit-platform-commons",
    "org/junit/platform/engine": "org.junit.platform:junit-platform-engine",
    "org/junit/platform/launcher": "org.junit.platform:junit-platform-launcher",
    "org/opentest4j": "org.opentest4j:opentest4j",
    "org/slf4j": "org.slf4j:slf4j-api",
    "org/slf4j/impl": "org.apache.logging.log4j:log4j-slf4j-impl",
    "org/testng": "org.testng:testng",
    "org/yaml/snakeyaml": "org.yaml:snakeyaml",
    "picocli": "info.picocli:picocli",
}


def find_library(package: str) -> str | None:
    """The library that a folder of classes comes from; None of TorchServe's own."""
    fits = [root for root in PACKAGES if f"{package}/".startswith(f"{root}/")]
    return PACKAGES[max(fits, key=len)] if fits else None


def hash_libraries(jar: Path) -> dict[str, str]:
    """Maven coordinates -> hex sha256 of all their classes: tells a version apart where nothing else does."""
    found: dict[str, Any] = {}
    with ZipFile(jar) as archive:
        for name in sorted(name for name in archive.namelist() if name.endswith(".class")):
            library = find_library(re.sub("^META-INF/versions/[0-9]+/", "", name).rpartition("/")[0])
            if library:
                found.setdefault(library, hashlib.sha256()).update(archive.read(name))
    return {name: mark.hexdigest() for name, mark in found.items()}
