"""Filters of MLflow's search. Its strings know no escape: a value is between quotes as it is.

Everything can stand between single quotes but a single quote, and between double quotes but a
double one. A value with both, or one that a tag cannot hold whole, is found by its digest, which
is written beside it.
"""

from hashlib import sha256

from ntlbg_service.tracking import limits

DIGEST = ".sha256"
"""End of the name of a tag with the digest of another tag's value."""


def tag_is(tag: str, value: str) -> str:
    """The filter for runs whose tag has this value, as `tags_of` writes it."""
    (name, written), *_ = reversed(tags_of(tag, value).items())
    quote = '"' if "'" in written else "'"
    return f"tags.`{name}` = {quote}{written}{quote}"


def tags_of(tag: str, value: str) -> dict[str, str]:
    """The tags to write so that `tag_is` finds the value: itself, and a digest where it has to."""
    written = limits.text(value)
    if written == value and not ("'" in value and '"' in value):
        return {tag: value}
    digest = sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    return {tag: written, tag + DIGEST: digest}
