"""The program that is measured, as a user runs it."""

import os
import subprocess
import sys


def pliant(*arguments):
    """What `PLIANT_BIN` prints; where it fails, its error ends this too."""
    ran = subprocess.run([os.environ["PLIANT_BIN"], *arguments], capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(ran.stderr)
    return ran.stdout
