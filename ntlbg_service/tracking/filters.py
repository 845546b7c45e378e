"""Filters for MLflow's search, whose string literals have no escapes.

Single quotes can delimit anything but a single quote, and double quotes anything but a double one.
A value with both, or one that is too long for a tag, is found by its digest, which is written
beside it.
"""

from hashlib import sha256

from ntlbg_service.tracking import limits

DIGEST = ".sha256"
"""Suffix of the tag that holds the digest of another tag's value."""


def tag_is(tag: str, value: str) -> str:
    """Return the filter for runs whose tag has this value, as `tags_of` writes it."""
    (name, written), *_ = reversed(tags_of(tag, value).items())
    quote = '"' if "'" in written else "'"
    return f"tags.`{name}` = {quote}{written}{quote}"


def tags_of(tag: str, value: str) -> dict[str, str]:
    """Return the tags that let `tag_is` find the value: itself, and a digest where needed."""
    written = limits.text(value)
    if written == value and not ("'" in value and '"' in value):
        return {tag: value}
    digest = sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    return {tag: written, tag + DIGEST: digest}
