"""What every test process begins with."""

# stashapi's log keeps the standard error it finds when it is imported. Found inside a test that captures, that would be
# a file which is closed when the test ends, and every later line of stashapi's would fail on it.
import stashapi.log  # noqa: F401
