"""Unpacks parts of a wheel or a source archive: unpack.py ARCHIVE FOLDER [PATTERN..]

Takes the members that match one of the shell patterns (`*` also crosses `/`), or all without a
pattern; a pattern that matches nothing is an error. Modification times are kept, so that build tools
see an unchanged file as unchanged.
"""

import fnmatch
import os
import shutil
import sys
import tarfile
import time
import zipfile


def members(archive):
    """Yields (path, mtime, opener) of every file in the archive."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as whole:
            for member in whole.infolist():
                if not member.is_dir():
                    mtime = time.mktime(member.date_time + (0, 0, -1))
                    yield member.filename, mtime, lambda member=member: whole.open(member)
    else:
        with tarfile.open(archive) as whole:
            for member in whole:
                if member.isfile():
                    yield member.name, member.mtime, lambda member=member: whole.extractfile(member)


def main(archive, folder, *patterns):
    unmatched = set(patterns)
    for path, mtime, opener in members(archive):
        if os.path.isabs(path) or ".." in path.split("/"):
            sys.exit(f"{archive}: refusing the path {path!r}")
        hits = [pattern for pattern in patterns if fnmatch.fnmatchcase(path, pattern)]
        unmatched.difference_update(hits)
        if patterns and not hits:
            continue
        target = os.path.join(folder, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with opener() as source, open(target, "wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        os.utime(target, (mtime, mtime))
    if unmatched:
        sys.exit(f"{archive}: nothing matches {', '.join(sorted(unmatched))}")


if __name__ == "__main__":
    main(*sys.argv[1:])
