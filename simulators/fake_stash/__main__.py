"""Run a fake Stash by hand: `python -m simulators.fake_stash --generate 24 --plugins DIR`."""

import gc
import ssl
import sys
import tempfile
from pathlib import Path

from simulators.generate import generate
from simulators.serving import arguments, main

from .instance import Instance
from .library import BadLibrary, read_library
from .routes import FakeStash


def run(argv: list[str]) -> int:
    parser = arguments("python -m simulators.fake_stash", __doc__ or "")
    parser.add_argument(
        "--plugins", metavar="DIR", help="plugins folder (default: plugins in the config dir)"
    )
    parser.add_argument(
        "--config-dir", metavar="DIR", help="folder of config.yml (default: a new temporary one)"
    )
    parser.add_argument("--username", default="", metavar="U", help="credentials, with --password")
    parser.add_argument("--password", default="", metavar="P")
    parser.add_argument("--zone", metavar="±HH:MM", help="the server's time zone (default: this machine's)")
    parser.add_argument(
        "--python-path", default="", metavar="FILE", help="interpreter for plugins that say python"
    )
    parser.add_argument("--advertise", metavar="H", help="the Host that plugins are told (default: --host)")
    parser.add_argument("--tls-cert", metavar="FILE", help="speak https, with --tls-key (PEM files)")
    parser.add_argument("--tls-key", metavar="FILE")
    args = parser.parse_args(argv)
    try:
        library = read_library(args.library) if args.library else {}
        if args.generate is not None:
            library = {"scenes": generate(args.generate, args.seed)}
        config_dir = Path(args.config_dir or tempfile.mkdtemp(prefix="fake-stash-")).resolve()
        config_dir.mkdir(parents=True, exist_ok=True)
        instance = Instance(
            config_dir,
            Path(args.plugins).resolve() if args.plugins else None,
            library,
            args.seed,
            args.zone,
            args.username,
            args.password,
            args.python_path,
            args.advertise,
        )
        instance.switches.shutdown_waits = True
        gc.freeze()  # the library stays: no need to look through it for garbage again and again
        tls = None
        if args.tls_cert:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(args.tls_cert, args.tls_key)
    except (BadLibrary, ValueError, OSError) as problem:
        print(f"fake_stash: {problem}", file=sys.stderr)
        return 2
    return main(FakeStash(instance, tls), args)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
