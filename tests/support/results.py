"""A result of the benchmark that is made up, so that each verdict on it is known."""

from lungct_tools.bench import formats, rates
from lungct_tools.bench.bodies import COMPRESSED, DICOM, PNG
from lungct_tools.bench.bodies import JPEG as JPEG_IN
from lungct_tools.bench.codebase import START
from lungct_tools.bench.stages import REST
from lungct_tools.bench.targets import CLASSES, GRIDS, JPEG

PLAIN = (JPEG_IN, PNG, DICOM)


def measured(rate, latency=(10.0, 11.0, 12.0)):
    return {"rate": [rate, rate], "latency_ms": [latency, latency], "errors": 0, "load_ms": 0.1}


def make_result():
    """Everything exactly good enough."""
    parts = {"decode": 1.0, "inference": 2.0, "render": 0.1, REST: 0.4}
    kinds = ("classes, 1 caller", *(f"classes{more}, 32 callers" for more in ("", " + grids", " + JPEG overlay")))
    return {
        "date": "2026-01-01",
        "machine": {"processor": "P", "instructions": ["avx2"], "cores": 2, "python": "3", "torch": "2", "slices": "s"},
        "repeats": 2,
        "quick": False,
        "engine": "openvino-int8",
        "minutes": 27.2,
        "limits": {
            rates.LIMIT: {"best": "16 x 2", "matrix": {"16 x 2": [200.0], "16 x 1": [100.0]}},
            rates.LIMIT_FP32: {"best": "8 x 2", "matrix": {"8 x 2": [90.0]}},
        },
        "rates": {
            rates.LIMIT: measured(200.0),
            rates.LIMIT_FP32: measured(100.0),
            rates.NETWORK: measured(250.0),
            rates.FORWARD: measured(40.0),
            CLASSES: measured(170.0),
            rates.FP32: measured(80.0),
            rates.FP32_GRIDS: measured(76.0),
            GRIDS: measured(162.0),
            JPEG: measured(120.0),
            rates.PAGE: measured(20.0),
            rates.PAGE_CAM: measured(8.0),
            rates.STOCK: measured(40.0),
            rates.LITSERVE: measured(50.0),
        },
        "beside": {
            rates.SINGLE: measured(100.0),
            rates.ALONE: measured(80.0, (14.0, 15.0, 16.0)),
            CLASSES: measured(160.0),
            GRIDS: measured(152.0),
        },
        "open": [{"share": 0.5, "asked": 85.0, **measured(85.0, (9.0, 10.0, 11.0))}],
        "stages": {kind: parts for kind in kinds},
        "empty_ms": 3.0,
        "peers": {
            rates.STOCK: {"1 x 2": [40.0], "2 x 1": [45.0]},
            rates.LITSERVE: {"1 x 2": [50.0], "2 x 1": [49.0]},
        },
        "sides": {
            "in-process": {"256": {"rate": [300.0, 300.0], "p50": [50.0, 52.0], "errors": 0}},
            "served": {"256": {"rate": [250.0, 250.0], "p50": [120.0, 124.0], "errors": 0}},
        },
        "settings": {
            "batch 16, delay 1 ms": {
                "1": {"rate": [80.0, 82.0], "p50": [14.0, 14.0], "errors": 0},
                "32": {"rate": [160.0, 160.0], "p50": [200.0, 200.0], "errors": 0},
            },
            "2 workers x 1 thread": {
                "1": {"rate": [79.0, 83.0], "p50": [14.0, 14.0], "errors": 0},
                "32": {"rate": [175.0, 175.0], "p50": [180.0, 180.0], "errors": 0},
            },
        },
        "fronts": {
            front: {"memory_mb": memory, "callers": {"1": measured(alone), "32": measured(170.0)}}
            for front, memory, alone in (("torchserve", 900.0, 80.0), ("asgi", 450.0, 90.0))
        },
        "endurance": {"requests": 10_000, "errors": 0, "early_mb": 500.0, "late_mb": 510.0},
        "cold": {"make serve": [8.0, 9.0], "worker killed": [4.0, 5.0]},
    }


def make_formats():
    """The same on formats, overlays, memory and starts, each target passed by a little."""

    def pair(ours, start):
        return {"ours": measured(ours), "start": measured(start)}

    reading = {name: {who: {"ms": [2.0, 2.0], "cpu_ms": [2.0, 2.0]} for who in ("ours", "start")} for name in PLAIN}
    reading[DICOM]["start"] = {"ms": [6.0, 6.0], "cpu_ms": [6.0, 6.0]}
    for name in COMPRESSED:
        reading[name] = {
            "ours": {"ms": [10.4, 10.4], "cpu_ms": [10.4, 10.4]},
            "start": {"ms": [14.0, 14.0], "cpu_ms": [14.0, 14.0]},
            "codec": {"ms": [9.0, 9.0]},
        }
    start = {"start_s": [5.0, 5.0], "memory_mb": [611.0, 611.0], "reload_s": [3.0, 3.0], "errors": 0}
    return {
        "date": "2026-01-01",
        "machine": {"processor": "P", "instructions": ["avx2"], "cores": 2, "python": "3", "torch": "2"},
        "engine": "openvino-int8",
        "start": START,
        "repeats": 2,
        "quick": False,
        "minutes": 14.2,
        "requests": 1_000,
        "files": 2_000,
        "missing": {},
        "reading": reading,
        "inprocess": {
            "batch": {"ours": "16", "start": "16"},
            formats.PIPELINE: pair(120.0, 100.0),
            formats.NETWORK: pair(140.0, 140.0),
        },
        "served": {
            JPEG_IN: pair(100.0, 100.0),
            DICOM: pair(102.0, 85.0),
            formats.OVERLAY: pair(93.0, 83.0),
            formats.OVERLAY_PNG: pair(76.0, 33.0),
            formats.WIDE: pair(60.0, 50.0),
            formats.LARGE: pair(4.0, 4.0),
        },
        "cpu": {DICOM: {"Java": 4.26, "worker": 12.0, "readers": 0.0, "load generator": 1.0}},
        "score": {formats.SCORE: {"ours": measured(97.0)}, DICOM: {"ours": measured(100.0)}},
        "lives": {
            "start": start,
            "ours": {**start, "start_s": [3.0, 3.0], "memory_mb": [440.0, 440.0], "reload_s": [2.0, 2.0]},
        },
    }
