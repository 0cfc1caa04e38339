"""Draw synthetic axial chest-CT slices, or a whole series, and write them as DICOM or PNG.

No patient is behind any pixel: demos, tests and docs use it where a real scan could not be shipped.
"""

import argparse
import sys
from pathlib import Path

from lungct_tools.phantom.anatomy import NODULES, draw_slice
from lungct_tools.phantom.files import WRITERS
from lungct_tools.phantom.series import draw_volume


def parse_arguments() -> argparse.Namespace:
    """Parse the command line; a wrong one exits 2."""
    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Draw synthetic chest-CT slices. Research use only: no patient is shown, nothing clinical follows.",
        epilog="example: lungct phantom demo/nodule --nodule spiculated --format dicom png\n"
        "         lungct phantom demo/series --series --count 30 --nodule spiculated",
    )
    parser.add_argument("out", type=Path, help="file name without suffix, or a folder (always one if --count > 1)")
    parser.add_argument("--seed", type=int, default=0, help="which anatomy, 0 or more (default 0)")
    parser.add_argument("--nodule", choices=NODULES, default="none", help="what to put into a lung (default none)")
    parser.add_argument("--format", nargs="+", choices=WRITERS, default=["dicom"], help="what to write (default dicom)")
    parser.add_argument("--size", type=int, default=512, help="pixels a side, 64 to 2048 (default 512)")
    parser.add_argument("--count", type=int, default=1, help="how many slices, of seeds in a row (default 1)")
    parser.add_argument(
        "--series", action="store_true", help="one DICOM series into the folder OUT; the nodule is in every third slice"
    )
    args = parser.parse_args()
    if args.seed < 0 or args.count < 1 or not 64 <= args.size <= 2048:
        parser.error("--seed must be at least 0, --count at least 1 and --size between 64 and 2048")
    if args.series and args.format != ["dicom"]:
        parser.error("--series goes with --format dicom alone")
    return args


def main() -> int:
    """Write the slices that the command line asks for; return 0, or 1 if a file could not be written."""
    args = parse_arguments()
    try:
        if args.series:
            write_series(args)
        else:
            write_slices(args)
    except OSError as error:
        print(f"phantom: cannot write {error.filename or args.out}: {error.strerror}.", file=sys.stderr)
        return 1
    return 0


def write_slices(args: argparse.Namespace) -> None:
    """Slices that have nothing to do with each other."""
    into_folder = args.count > 1 or args.out.is_dir()
    for seed in range(args.seed, args.seed + args.count):
        stem = args.out / f"phantom-{args.nodule}-{seed}" if into_folder else args.out
        hu = draw_slice(seed, args.nodule, args.size)
        for write, suffix in (WRITERS[name] for name in args.format):
            path = stem.with_name(stem.name + suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            write(hu, path)
            print(f"wrote {path}")


def write_series(args: argparse.Namespace) -> None:
    """Slices of one series, numbered."""
    args.out.mkdir(parents=True, exist_ok=True)
    name = f"phantom {args.nodule} {args.seed} {args.size}"
    for number, body in enumerate(draw_volume(args.count, args.nodule, args.size, args.seed, name), 1):
        path = args.out / f"{number:04}.dcm"
        path.write_bytes(body)
        print(f"wrote {path}")
