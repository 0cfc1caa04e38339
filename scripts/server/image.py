"""Build the container image with podman or docker and say how large it is. Runs on plain Python.

    make image
    make image ARGS='--build-arg ACCELERATOR=cuda --tag lung-ct:2.0.0-cuda'

What else is given goes to the engine's build command. Exit codes: 0 built, 1 the build failed, 2 no engine.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENGINES = ("podman", "docker")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=ENGINES, help="default: the first that is installed")
    parser.add_argument("--tag", default="lung-ct:2.0.0", help="default: %(default)s")
    args, others = parser.parse_known_args()
    engine = args.engine or next(filter(shutil.which, ENGINES), None)
    if engine is None:
        print("image: neither podman nor docker is installed.", file=sys.stderr)
        return 2
    kind = ["--format", "docker"] if engine == "podman" else []  # OCI's own format has no HEALTHCHECK
    build = [engine, "build", *kind, "--file", "Containerfile", "--tag", args.tag, *others, "."]
    if subprocess.run(build, cwd=ROOT, check=False).returncode:
        return 1
    measure = [engine, "image", "inspect", "--format", "{{.Size}}", args.tag]
    size = int(subprocess.run(measure, capture_output=True, text=True, check=True).stdout)
    print(f"image: built {args.tag}, {size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
