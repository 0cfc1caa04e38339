"""npm in a folder that has a lockfile."""

import subprocess


def run_npm(folder, *command):
    done = subprocess.run(["npm", *command], cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
