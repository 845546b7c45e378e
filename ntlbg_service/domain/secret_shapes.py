"""What is a secret by how it looks, whatever stands around it: tokens, private keys, passwords in
addresses. Those that only their names tell are in `named_secrets`."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from ntlbg_service.domain.random_looking import is_filled, looks_random

HIDDEN = "[redacted]"
"""What stands in the place of a secret."""
JUDGED = 200
"""Characters of a value by which it is judged; all of it is hidden."""

_FILLER = re.compile(
    r"\W*|<.*|\[.*|.*\.\.\.|(?:your|my)[_\- ].*|\$[A-Z_]{2,}|\$[({].*|\{.*|%\w|%\(.*|(.)\1{2,}"
    r"|none|null|true|false|yes|no|str|bytes|int|float|[\d.]{1,6}"
    r"|pass(?:word|wd|phrase)?|pw|secret|token|key|api[_\-]?key|hidden|redacted",
    re.IGNORECASE | re.DOTALL,
)


def is_filler(value: str) -> bool:
    """Whether a value only stands where a secret would: `<password>`, `$TOKEN`, `***`, `null`."""
    return _FILLER.fullmatch(value) is not None


@dataclass(frozen=True)
class SecretShape:
    """One way to know a secret in a text."""

    hints: tuple[str, ...]
    """In lower case: a text with none of them has no secret of this kind, and is not searched."""
    pattern: re.Pattern[str]
    """Its group `secret` is hidden; `drawn`, where it has one, is what decides, else all of it."""
    is_secret: Callable[[str], bool] = lambda _: True

    def hidden(self, text: str) -> str:
        """The text with every secret of this shape hidden."""
        kept: list[str] = []
        done = place = 0
        deciding = "drawn" if "drawn" in self.pattern.groupindex else "secret"
        while found := self.pattern.search(text, place):
            start, end = found.span("secret")
            if self.is_secret(found[deciding][:JUDGED]):
                kept += text[done:start], HIDDEN
                done = place = end
            else:
                place = max(start, found.start() + 1)
        return "".join((*kept, text[done:])) if kept else text


def _token(
    hints: str, begin: str, drawn: str, is_secret: Callable[[str], bool] = looks_random
) -> SecretShape:
    pattern = rf"(?P<secret>{begin}(?P<drawn>{drawn}))"
    return SecretShape(tuple(hints.split()), re.compile(pattern), is_secret)


def _is_given(value: str) -> bool:
    return not is_filled(value)


def _is_key_of_aws(value: str) -> bool:
    """The manuals of AWS end the keys that they show with EXAMPLE."""
    return not is_filled(value) and not value.endswith("EXAMPLE")


TOKENS = (
    _token("hf_ api_org_", "(?:hf_|api_org_)", r"[A-Za-z0-9]{16,}"),
    _token("sk-", r"sk-(?:proj|svcacct|admin|or-v1|ant-[a-z]{1,10}\d{0,3})-", r"[\w\-]{16,}"),
    _token("sk-", r"(?<![A-Za-z0-9])sk-", r"[\w\-]{16,}"),
    SecretShape(
        ("akia", "asia", "abia", "acca"),
        re.compile(r"(?<![A-Z0-9])(?P<secret>(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16,24}(?![A-Z0-9]))"),
        _is_key_of_aws,
    ),
    _token("ghp_ gho_ ghu_ ghs_ ghr_", "gh[pousr]_", r"[A-Za-z0-9]{20,}", _is_given),
    _token("github_pat_", "github_pat_", r"\w{20,}", _is_given),
    _token("gl", "gl(?:pat|dt|rt|ptt|ft|soat|cbt|imt|agent)-", r"[\w\-.]{16,}", _is_given),
    _token("xox", "xox[abeprs]-", r"[A-Za-z0-9\-]{10,}", _is_given),
    _token("xapp-", r"xapp-\d-", r"[A-Za-z0-9\-]{20,}", _is_given),
    _token("aiza", "AIza", r"[\w\-]{30,}", _is_given),
    _token("ya29.", r"ya29\.", r"[\w\-]{20,}"),
    _token("gocspx-", "GOCSPX-", r"[\w\-]{20,}"),
    _token("1//0", r"(?<!\w)1//0", r"[\w\-]{30,}"),
    _token("q~", r"(?<![\w~.\-])", r"[\w~.\-]{3}\dQ~[\w~.\-]{31,34}"),
    _token("_live_ _test_", "(?<![A-Za-z])[sr]k_(?:live|test)_", r"[A-Za-z0-9]{16,}"),
    _token("whsec_", "whsec_", r"[A-Za-z0-9+/=]{24,}"),
    _token("npm_", "npm_", r"[A-Za-z0-9]{30,}", _is_given),
    _token("pypi-", "pypi-", r"[\w\-]{30,}"),
    _token("wandb_v1_", "wandb_v1_", r"[\w\-]{30,}"),
    _token("sg.", r"SG\.", r"[\w\-]{16,}\.[\w\-]{32,}"),
    _token("dapi", "dapi", r"[0-9a-f]{32}", _is_given),
    _token("_v1_", "do[opr]_v1_", r"[0-9a-f]{40,}"),
    _token("dckr_", "dckr_[po]at_", r"[\w\-]{20,}"),
    _token("gsk_", "gsk_", r"[A-Za-z0-9]{40,}"),
    _token("r8_", "(?<![A-Za-z0-9])r8_", r"[A-Za-z0-9]{30,}"),
    _token("hvs.", r"hvs\.", r"[\w\-]{24,}"),
    _token("ops_ey", "ops_eyJ", r"[\w\-]{40,}"),
    _token("sntry", "sntry[su]_", r"[\w\-+/=]{40,}"),
    _token("glc_ glsa_", "gl(?:c|sa)_", r"[\w+/=]{30,}"),
    _token(":aa", r"(?<!\d)\d{8,10}:", r"AA[\w\-]{33}"),
    _token("eyj", "eyJ", r"[\w\-]{8,4000}\.[\w\-]{8,4000}(?:\.[\w\-]*){1,3}"),
)
"""Tokens, each by what its issuer begins it with; what follows was drawn at random."""
_ADDRESSES = (
    r"https?://(?:hooks\.slack\.com/|[\w.]{0,40}discord(?:app)?\.com/api/webhooks/"
    r"|[\w.\-]{1,80}\.webhook\.office\.com/)(?P<secret>[^\s\"'<>\\]+)"
)
_PASSWORD_IN_ADDRESS = (
    r"[A-Za-z][\w+.\-]{1,30}://[^\s/:@\"'<>?#]{0,200}:"
    r"(?P<secret>[^\s/\"'<>@]{1,500}(?:@[^\s/\"'<>@]{1,200})??)(?=@[^\s@]|@$)"
)
CERTAIN = (
    SecretShape(
        ("private key",),
        re.compile(
            r"(?P<secret>-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----.*?"
            r"(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----|\Z))",
            re.DOTALL,
        ),
    ),
    SecretShape(
        ("private-lines:",), re.compile(r"Private-Lines: \d+\s+(?P<secret>(?:[\w+/=]{20,}\s?)+)")
    ),
    *TOKENS,
    SecretShape(
        ("hooks.slack.com", "/api/webhooks/", "webhook.office.com"),
        re.compile(_ADDRESSES, re.IGNORECASE),
        lambda value: not is_filler(value),
    ),
    SecretShape(("://",), re.compile(_PASSWORD_IN_ADDRESS), lambda value: not is_filler(value)),
)
"""Secrets wherever they stand, also in what this program words itself."""
