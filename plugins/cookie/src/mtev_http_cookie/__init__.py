"""mtev-http-cookie: a login page and signed cookies, in the format of libmtev's http_hmac_cookie.

from mtev_http_cookie import Login, decode, encode

text = encode(Login("ann", "hmac_cookie", expires_s), key)
login = decode(text, key, now_s)
"""

from __future__ import annotations

from .codec import COOKIE, CookieError, Login, decode, encode

__all__ = ["COOKIE", "CookieError", "Login", "decode", "encode"]
