"""What people see: the login, the logout, and that they may not. Pure.

The pages load nothing, run nothing, cannot be framed, and are kept by nobody.
"""

from __future__ import annotations

from html import escape

from mtev_http import Response

from .whereto import LOGIN, LOGOUT

__all__ = ["denied_page", "login_page", "logout_page"]

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",  # without any, the form would come with the origin 'null'
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; display: grid; place-items: center; min-height: 90vh; margin: 0 }}
main {{ border: 1px solid #aaa; border-radius: .5rem; padding: 1rem 2rem 2rem }}
label {{ display: block; margin-top: .5rem }}
input {{ font: inherit; width: 16rem }}
button {{ font: inherit; margin-top: 1rem }}
.problem {{ color: #a00 }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{content}
</main>
</body>
</html>
"""


def login_page(whereto: str, problem: str = "", status: int = 200, user: str = "") -> Response:
    """The form.

    Args:
        whereto: where to go afterwards; checked already.
        problem: what was wrong with the last try; `""` for nothing.
        status: of the response.
        user: who is logged in already; `""` for nobody.
    """
    told = f'<p class="problem" role="alert">{escape(problem)}</p>\n' if problem else ""
    if user and not problem:
        told = f"<p>You are logged in as {escape(user)}.</p>\n"
    content = f"""{told}<form method="post" action="{LOGIN}">
<input type="hidden" name="whereto" value="{escape(whereto)}">
<label for="username">User</label>
<input id="username" name="username" autocomplete="username" autocapitalize="none" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<p><button>Log in</button></p>
</form>"""
    return _page("Log in", content, status)


def logout_page(user: str) -> Response:
    """The question whether to log out: a link of another page shall not do it."""
    told = f"<p>You are logged in as {escape(user)}.</p>\n" if user else "<p>You are not logged in.</p>\n"
    return _page(
        "Log out", f'{told}<form method="post" action="{LOGOUT}">\n<p><button>Log out</button></p>\n</form>', 200
    )


def denied_page(user: str, login: str) -> Response:
    """That somebody is logged in, and may not.

    Args:
        user: who.
        login: the address of the login page.
    """
    content = (
        f"<p>You are logged in as {escape(user)}, who may not see this.</p>\n"
        f'<p><a href="{escape(login)}">Log in as somebody else</a></p>'
    )
    return _page("Access denied", content, 403)


def _page(title: str, content: str, status: int) -> Response:
    text = _PAGE.format(title=escape(title), content=content)
    return Response(status, text, content_type="text/html; charset=utf-8", headers=_HEADERS)
