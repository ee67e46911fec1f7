"""Hashes of passwords: scrypt and, where argon2-cffi is installed, Argon2id. Pure; hashing takes a tenth of a second.

Both are in the PHC string format, `$scrypt$ln=15,r=8,p=3$SALT$HASH`, in base64 without padding, as other programs write
it. What is weaker than these by design (SHA-1, MD5, crypt, plain text) is refused, by its name and never with its
content: a file that was copied from elsewhere shall not lower the bar in silence.

Costs are bounded both ways. Below the least ones a hash protects nobody; above the greatest one a line in a file could
take the memory of the service.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from .errors import HashError

if TYPE_CHECKING:
    import argon2

__all__ = ["PASSWORD_LIMIT_BYTES", "SCHEMES", "PasswordHash", "hash_password", "parse_hash"]

PASSWORD_LIMIT_BYTES = 1024
"""The longest password, in bytes of UTF-8."""

SCHEMES = ("scrypt", "argon2id")
"""What `hash_password` can make."""

_LN, _R, _P = 15, 8, 3  # OWASP's figures for 32 MiB
_LEAST_LN, _MOST_LN = 14, 20
_MOST_R, _MOST_P = 32, 16
_MEMORY_LIMIT_BYTES = 256 * 1024 * 1024
_SALT_BYTES, _DIGEST_BYTES = 16, 32
_LEAST_SALT, _MOST_SALT = 8, 64
_LEAST_DIGEST, _MOST_DIGEST = 16, 64
_LENGTH_LIMIT = 512
_COST_LIMIT = 64

_SCRYPT = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)")
_ARGON = re.compile(
    r"\$argon2(?:id|i|d)\$v=\d+\$m=(\d{1,9}),t=(\d{1,4}),p=(\d{1,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)

_REFUSED = (
    (re.compile(r"\{SHA\}"), "{SHA} (SHA-1 without a salt)"),
    (re.compile(r"\{SSHA\}"), "{SSHA} (SHA-1)"),
    (re.compile(r"\$apr1\$"), "$apr1$ (Apache's MD5)"),
    (re.compile(r"\$1\$|\{MD5\}|\{SMD5\}"), "MD5"),
    (re.compile(r"\$2[abxy]?\$"), "bcrypt"),
    (re.compile(r"\$[56]\$"), "crypt with SHA-2"),
    (re.compile(r"\$7\$|\$g?y\$"), "crypt with yescrypt or scrypt"),
    (re.compile(r"\{\w+\}"), "one in braces"),
    (re.compile(r"[./0-9A-Za-z]{13}\Z"), "crypt (DES), or no hash at all"),
)
_REMEDY = "hash the password again with 'mtev-http-auth hash'"


class PasswordHash(Protocol):
    """A hash of a password."""

    @property
    def scheme(self) -> str:
        """What it was made with."""

    @property
    def cost(self) -> tuple[str | int, ...]:
        """What it takes to verify one; equal for hashes that take equally long."""

    def verify(self, password: str) -> bool:
        """Whether it is of that password. Takes as long whatever the answer is; blocks, without the GIL."""

    def decoy(self) -> PasswordHash:
        """A hash of the same cost that no password fits."""

    def __str__(self) -> str:
        """The hash in PHC string format."""


@dataclass(frozen=True, slots=True, repr=False)
class ScryptHash:
    """A hash made with scrypt (RFC 7914).

    Args:
        ln: binary logarithm of the cost, 14 to 20.
        r: block size, 1 to 32.
        p: parallelisation, 1 to 16.
        salt: 8 to 64 bytes.
        digest: 16 to 64 bytes.

    Raises:
        HashError: one of them is out of range, or the memory is above 256 MiB.
    """

    ln: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    def __post_init__(self) -> None:
        if not _LEAST_LN <= self.ln <= _MOST_LN:
            raise HashError(f"scrypt with ln={self.ln}: expected {_LEAST_LN} to {_MOST_LN}; {_REMEDY}")
        if not (1 <= self.r <= _MOST_R and 1 <= self.p <= _MOST_P):
            raise HashError(f"scrypt with r={self.r} and p={self.p}: expected up to {_MOST_R} and {_MOST_P}; {_REMEDY}")
        if 128 * self.r << self.ln > _MEMORY_LIMIT_BYTES:
            raise HashError(f"scrypt with ln={self.ln} and r={self.r} takes more than 256 MiB; {_REMEDY}")
        if not _LEAST_SALT <= len(self.salt) <= _MOST_SALT or not _LEAST_DIGEST <= len(self.digest) <= _MOST_DIGEST:
            raise HashError(f"the salt or the digest of a scrypt hash is too short or too long; {_REMEDY}")

    @property
    def scheme(self) -> str:
        return "scrypt"

    @property
    def cost(self) -> tuple[str | int, ...]:
        return ("scrypt", self.ln, self.r, self.p)

    def verify(self, password: str) -> bool:
        made = _scrypt(password, self.salt, self.ln, self.r, self.p, len(self.digest))
        return hmac.compare_digest(made, self.digest)

    def decoy(self) -> ScryptHash:
        return replace(self, salt=secrets.token_bytes(_SALT_BYTES), digest=secrets.token_bytes(_DIGEST_BYTES))

    def __str__(self) -> str:
        return f"$scrypt$ln={self.ln},r={self.r},p={self.p}${_encoded(self.salt)}${_encoded(self.digest)}"

    def __repr__(self) -> str:
        return f"<scrypt ln={self.ln} r={self.r} p={self.p}>"


@dataclass(frozen=True, slots=True, repr=False)
class Argon2Hash:
    """A hash made with Argon2 (RFC 9106), by argon2-cffi.

    Args:
        text: in PHC string format; `parse_hash` has checked it.
        cost: of the scheme, memory in KiB, passes, lanes.
    """

    text: str
    cost: tuple[str | int, ...]

    @property
    def scheme(self) -> str:
        return self.text.split("$")[1]

    def verify(self, password: str) -> bool:
        import argon2

        try:
            return _hasher().verify(self.text, password)
        except argon2.exceptions.VerificationError:
            return False

    def decoy(self) -> Argon2Hash:
        head = self.text.rsplit("$", 2)[0]
        salt, digest = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_DIGEST_BYTES)
        return replace(self, text=f"{head}${_encoded(salt)}${_encoded(digest)}")

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<{self.scheme}>"


def hash_password(password: str, scheme: str = "scrypt") -> str:
    """Hash a password with a new salt. Blocks for a tenth of a second or more.

    Args:
        password: not empty, up to 1024 bytes of UTF-8.
        scheme: one of `SCHEMES`; `argon2id` needs argon2-cffi.

    Returns:
        In PHC string format, for `<user password="">` and files of users.

    Raises:
        HashError: the password is empty or too long, or the scheme is not available.
    """
    if not password or len(password.encode("utf-8", "surrogateescape")) > PASSWORD_LIMIT_BYTES:
        raise HashError(f"expected a password of 1 to {PASSWORD_LIMIT_BYTES} bytes")
    if scheme == "argon2id":
        return _hasher().hash(password)
    if scheme != "scrypt":
        raise HashError(f"the scheme '{scheme}' is not known; expected {' or '.join(SCHEMES)}")
    salt = secrets.token_bytes(_SALT_BYTES)
    return str(ScryptHash(_LN, _R, _P, salt, _scrypt(password, salt, _LN, _R, _P, _DIGEST_BYTES)))


def parse_hash(text: str) -> PasswordHash:
    """Read a hash. Quick.

    Args:
        text: in PHC string format.

    Raises:
        HashError: it is of a scheme that is refused or not installed, or is malformed. The message does not show it.
    """
    if len(text) > _LENGTH_LIMIT:
        raise HashError(f"a hash has at most {_LENGTH_LIMIT} characters; {_REMEDY}")
    if match := _SCRYPT.fullmatch(text):
        ln, r, p = (int(each) for each in match.groups()[:3])
        return ScryptHash(ln, r, p, _decoded(match[4]), _decoded(match[5]))
    if match := _ARGON.fullmatch(text):
        return _argon(text, match)
    if text.startswith(("$scrypt$", "$argon2")):
        raise HashError(f"the hash begins as one of {text.split('$')[1]}, and goes on otherwise; {_REMEDY}")
    for pattern, name in _REFUSED:
        if pattern.match(text):
            raise HashError(f"the scheme is {name}, which is refused: it protects no password today; {_REMEDY}")
    raise HashError(f"this is no hash of a password; expected one such as $scrypt$...; {_REMEDY}")


def _argon(text: str, match: re.Match[str]) -> Argon2Hash:
    memory_kib, passes, lanes = (int(each) for each in match.groups()[:3])
    if not text.startswith("$argon2id$v=19$"):
        raise HashError(f"of Argon2 only argon2id in version 19 is taken; {_REMEDY}")
    if not (8192 <= memory_kib <= _MEMORY_LIMIT_BYTES // 1024 and 1 <= passes <= _COST_LIMIT and 1 <= lanes <= _MOST_P):
        raise HashError(f"the cost of an argon2id hash is out of range: expected m=8192 to 262144; {_REMEDY}")
    if not (_LEAST_SALT <= len(_decoded(match[4])) <= _MOST_SALT and len(_decoded(match[5])) >= _LEAST_DIGEST):
        raise HashError(f"the salt or the digest of an argon2id hash is too short or too long; {_REMEDY}")
    _hasher()
    return Argon2Hash(text, ("argon2id", memory_kib, passes, lanes))


def _hasher() -> argon2.PasswordHasher:
    try:
        import argon2
    except ImportError:
        raise HashError("argon2id needs argon2-cffi: pip install 'mtev-http-auth[argon2]'") from None
    return argon2.PasswordHasher()


def _scrypt(password: str, salt: bytes, ln: int, r: int, p: int, length: int) -> bytes:
    raw = password.encode("utf-8", "surrogateescape")
    memory = 128 * r * ((1 << ln) + p + 8)  # what OpenSSL asks for, and a little more
    return hashlib.scrypt(raw, salt=salt, n=1 << ln, r=r, p=p, maxmem=memory, dklen=length)


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii").rstrip("=")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise HashError(f"the salt or the digest of a hash is no base64; {_REMEDY}") from None
