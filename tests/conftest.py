"""What every test process begins with."""

import signal

# stashapi's log keeps the standard error it finds when it is imported. Found inside a test that captures, that would be
# a file which is closed when the test ends, and every later line of stashapi's would fail on it.
import stashapi.log  # noqa: F401

# A shell starts what it runs in the background with Ctrl-C ignored, and children inherit that; some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
