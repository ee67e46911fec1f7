"""`mtev-http-auth`: hashes passwords, and makes tokens. What is secret is never an argument, which every process sees.

    mtev-http-auth hash                 asks for a password twice; prints its hash
    mtev-http-auth hash ann             the same as a line for a file of <users>
    mtev-http-auth token ci >> tokens   prints the token on the terminal, and the line for a file of <tokens>

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Sequence

from .accounts import user_name
from .errors import AuthError, HashError
from .hashes import SCHEMES, hash_password
from .tokens import digest_of, new_token, parse_expiry, parse_label

__all__ = ["main"]

DONE, FAILED, INTERRUPTED = 0, 1, 130
_STDIN_LIMIT = 4096


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: those after the command's name; None for those of the process.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (AuthError, OSError, EOFError) as error:
        print(f"mtev-http-auth: {str(error) or 'the input has ended'}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mtev-http-auth", description="Hash passwords, and make tokens, for <http_auth>."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    hashing = commands.add_parser(
        "hash", help="hash a password", description="Hash a password, from the terminal or the first line of stdin."
    )
    hashing.add_argument("name", nargs="?", metavar="NAME", help="print a line NAME:HASH for a file of <users>")
    hashing.add_argument("-s", "--scheme", choices=SCHEMES, default=SCHEMES[0], help="what to make (default: scrypt)")
    hashing.set_defaults(run=_hash)
    token = commands.add_parser(
        "token",
        help="make a token",
        description="Make a token: itself to stderr, a line for a file of <tokens> to stdout.",
    )
    token.add_argument("name", metavar="NAME", help="the user that it stands for")
    token.add_argument("-e", "--expires", metavar="TIME", help="such as 2027-01-01T12:00:00Z; never, by default")
    token.add_argument("-a", "--auth", metavar="WORD", help="what 'auth' in access lists sees (default: bearer)")
    token.set_defaults(run=_token)
    return parser


def _hash(options: argparse.Namespace) -> int:
    prefix = f"{user_name(options.name)}:" if options.name is not None else ""
    print(prefix + hash_password(_password(), options.scheme))
    return DONE


def _token(options: argparse.Namespace) -> int:
    name = user_name(options.name)
    if " " in name:
        raise AuthError("the user of a token in a file has no blanks")
    extra = ""
    if options.expires:
        parse_expiry(options.expires)
        extra += f" expires={options.expires}"
    if options.auth:
        extra += f" auth={parse_label(options.auth)}"
    token = new_token()
    print(f"the token, which is shown this once: {token}", file=sys.stderr)
    print(f"{name}:{digest_of(token).hex()}{extra}")
    return DONE


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline(_STDIN_LIMIT).rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("Again: "):
        raise HashError("the two are not the same")
    return first
