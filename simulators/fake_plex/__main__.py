"""`python -m simulators.fake_plex`: a fake Plex Media Server in the foreground."""

from __future__ import annotations

import json
import ssl
import sys

from simulators.fake_plex.service import FakePlex, LibraryFileError
from simulators.serving import arguments, main

EMPTY = {"sections": [{"title": "Stash", "locations": ["/data/stash"]}]}


def run() -> int:
    """The exit status: 0 after SIGTERM or SIGINT, 2 when the arguments, the library file or a port are no
    good.
    """
    parser = arguments("python -m simulators.fake_plex", "A fake Plex Media Server.")
    parser.add_argument("--token", help="the owner's token (default: made from the seed)")
    parser.add_argument("--tls-cert", metavar="FILE", help="speak https, with --tls-key (PEM files)")
    parser.add_argument("--tls-key", metavar="FILE")
    args = parser.parse_args()
    try:
        if args.generate is not None:
            service = FakePlex.generated(args.generate, token=args.token, seed=args.seed)
        elif args.library:
            with open(args.library, encoding="utf-8") as file:
                service = FakePlex.from_document(json.load(file), token=args.token, seed=args.seed)
        else:
            service = FakePlex.from_document(EMPTY, token=args.token, seed=args.seed)
        if args.tls_cert:
            service.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            service.tls.load_cert_chain(args.tls_cert, args.tls_key)
    except ssl.SSLError as problem:
        print(f"fake_plex: {args.tls_cert} and {args.tls_key}: {problem}", file=sys.stderr)
        return 2
    except (OSError, ValueError) as problem:
        kind = "" if isinstance(problem, LibraryFileError) else f"{args.library}: "
        print(f"fake_plex: {kind}{problem}", file=sys.stderr)
        return 2
    return main(service, args)


if __name__ == "__main__":
    sys.exit(run())
