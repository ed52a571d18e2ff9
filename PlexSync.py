"""What Stash runs: finds its package, whatever PYTHONPATH and the working directory hold, and calls it."""

import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the one file an older Python can read so far
    found = ".".join(map(str, sys.version_info[:2]))
    wrong = "PlexSync needs Python 3.11 or newer, and " + sys.executable + " is " + found + "."
    if len(sys.argv) > 1:
        sys.stderr.write(wrong + "\n")
        sys.exit(3)
    remedy = " Name a newer one in Stash: Settings, System, Python executable path."
    print('{"error": "' + (wrong + remedy).replace("\\", "/") + '"}')
    sys.exit(0)

here = os.path.dirname(os.path.realpath(__file__))
vendor = os.path.join(here, "vendor")
first = [here, vendor] if os.path.isdir(vendor) else [here]
# Stash puts the folder above the plugin's on PYTHONPATH, which Python searches before its own library:
# somebody else's json.py there would be our json. What is wanted from there is still found, at the end.
extra = os.environ.get("PYTHONPATH")
last = {os.path.abspath(path) for path in extra.split(os.pathsep)} if extra else set()
rest = [path for path in sys.path if path not in first]
sys.path[:] = first + [path for path in rest if path not in last] + [path for path in rest if path in last]
# A hook that had to compile its modules would take half as long again, for every edit. So they are kept compiled
# beside their sources, as usual, even where PYTHONDONTWRITEBYTECODE asks for none (container images like to).
sys.dont_write_bytecode = False

from plexsync.__main__ import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
