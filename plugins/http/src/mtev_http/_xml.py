"""XML in bodies: parsed so that nothing is fetched or blown up, and written as it should be."""

from __future__ import annotations

from lxml import etree

from ._response import Fields, Response
from .errors import BadRequest

__all__ = ["parse_xml", "xml_response"]


def parse_xml(body: bytes) -> etree._Element:
    """Parse a document. Entities are not expanded, nothing is fetched, and its depth and size are bounded (libxml2).

    Raises:
        BadRequest: it is no XML, or has a document type, which nobody who means well needs here.
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=False
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise BadRequest(f"the body is not the XML that was expected: {error}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise BadRequest("the body has a document type; send it without")
    return root


def xml_response(root: etree._Element, status: int = 200, *, headers: Fields = ()) -> Response:
    """A response of XML, indented, in UTF-8.

    Args:
        root: the document; left as it is, but for the white space between elements.
        status: as for `Response`.
        headers: as for `Response`.
    """
    etree.indent(root)
    body = etree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"
    return Response(status, body, content_type="application/xml", headers=headers)
