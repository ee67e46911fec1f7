"""Nothing in the documentation leads nowhere."""

from __future__ import annotations

import re

_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`|^    .*$", re.MULTILINE | re.DOTALL)
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*:")


def slug(heading):
    """The anchor of a heading, as GitHub makes it."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors(text):
    without_code = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return {slug(heading) for heading in re.findall(r"^#{1,6} (.*)$", without_code, re.MULTILINE)}


def test_every_relative_link_leads_somewhere(page, root):
    dead = []
    for match in _LINK.finditer(_CODE.sub("", page.read_text(encoding="utf-8"))):
        target, _, anchor = match["target"].partition("#")
        if _REMOTE.match(match["target"]):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists():
            dead.append(match["target"])
        elif not file.is_relative_to(root):
            dead.append(f"{match['target']} leads out of the repository")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
            dead.append(f"{match['target']}: no such heading")
    assert dead == []


def test_every_page_of_docs_can_be_reached(root):
    reached, waiting = set(), [root / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for match in _LINK.finditer(page.read_text(encoding="utf-8")):
            file = (page.parent / match["target"].partition("#")[0]).resolve()
            if file.suffix == ".md" and file.exists() and file not in reached:
                waiting.append(file)
    assert set((root / "docs").rglob("*.md")) - reached == set()


def test_anchors_are_githubs():
    assert slug("`<acl>` and `<rule>`") == "acl-and-rule"
    assert slug("Life cycle") == "life-cycle"
    assert slug("`mtev_stopping`") == "mtev_stopping"
