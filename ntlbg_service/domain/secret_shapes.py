"""What passwords, keys and tokens look like in a text, and what their names are like."""

import re
from collections.abc import Callable
from dataclasses import dataclass

HIDDEN = "[redacted]"
"""What stands in the place of a secret."""

SECRET_WORDS = ("password", "passwd", "passphrase", "secret", "token", "apikey")
"""A name that ends with one of these is a secret's: HF_TOKEN, db.password, PGPASSWORD."""
WHOLE_WORDS = frozenset({"credential", "credentials", "authorization"})
PARTS = tuple(f"{joint}{word}" for word in ("pass", "pwd") for joint in "_-.")
"""Only as a part of a name: PWD is the folder in which a shell is."""
KEYS = frozenset(
    {"access", "account", "api", "auth", "deploy", "encryption"}
    | {"license", "private", "secret", "service", "signing"}
)
"""An `api_key` is a secret, a `suite_key` is none."""
PLAIN = re.compile(r"(?:none|null|true|false|yes|no|str|bytes|int|float|\W*|[\d.]{1,6})", re.I)
"""Values that are no secret, whatever they are called."""

_NAME = (
    r"(?:password|passwd|passphrase|secret|[_\-.](?:pass|pwd)|credentials?|api[_\-]?key"
    r"|access[_\-]?key(?:[_\-]?id)?"
    r"|(?:account|auth|deploy|encryption|license|private|secret|service|signing)[_\-]key)"
)
_IS = r"\\*[\"']?\s{0,3}[=:]\s{0,3}"
_QUOTED = r"(?P<quote>\\*[\"'])(?P<inner>(?:\\.|[^\\\n])*?)(?P=quote)"
_BARE = (
    rf"(?P<bare>(?!{re.escape(HIDDEN)})\\*[\"']?[^\s\"'&)}}\]]+?"
    r"(?=[,;.:]*(?:[\s\"'&)}\]]|\Z)))"
)
_SHAPES = (
    r"hf_[A-Za-z0-9]{16,}",
    r"sk-(?:proj|ant|svcacct)-[A-Za-z0-9_\-]{16,}",
    r"(?<![A-Za-z0-9])sk-(?=[A-Za-z_\-]*\d)[A-Za-z0-9_\-]{16,}",
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",
    r"gh[pousr]_[A-Za-z0-9]{20,}",
    r"github_pat_[A-Za-z0-9_]{20,}",
    r"glpat-[A-Za-z0-9_\-]{16,}",
    r"xox[abeprs]-[A-Za-z0-9\-]{10,}",
    r"AIza[A-Za-z0-9_\-]{30,}",
    r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[A-Za-z0-9_\-]{30,}",
    r"eyJ[A-Za-z0-9_\-]{8,4000}\.[A-Za-z0-9_\-]{8,4000}\.[A-Za-z0-9_\-]*",
)


@dataclass(frozen=True)
class Shape:
    """One way to know a secret in a text."""

    hints: tuple[str, ...]
    """In lower case: a text with none of them has no secret of this kind, and is not searched."""
    pattern: re.Pattern[str]
    replace: Callable[[re.Match[str]], str]


def _whole(_: re.Match[str]) -> str:
    return HIDDEN


def _after(found: re.Match[str]) -> str:
    return f"{found['before']}{HIDDEN}"


def _value(found: re.Match[str]) -> str:
    """What is assigned, its quotation marks left as they are."""
    value = found["inner"] if found["quote"] else found["bare"]
    if PLAIN.fullmatch(value) or value == HIDDEN:
        return found[0]
    quote = found["quote"] or ""
    return f"{found['before']}{quote}{HIDDEN}{quote}"


SHAPES = (
    Shape(
        ("private key",),
        re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [^\n]*|\Z)", re.S),
        _whole,
    ),
    Shape(
        (
            *("hf_", "sk-", "akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
            *("github_pat_", "glpat-", "xox", "aiza", "npm_", "pypi-", "eyj"),
        ),
        re.compile("|".join(_SHAPES)),
        _whole,
    ),
    Shape(
        ("hooks.slack.com", "/api/webhooks/", "webhook.office.com"),
        re.compile(
            r"(?P<before>https?://(?:hooks\.slack\.com/|[\w.]{0,40}discord(?:app)?\.com/api/"
            r"webhooks/|[\w.\-]{1,80}\.webhook\.office\.com/))[^\s\"'<>\\]+",
            re.IGNORECASE,
        ),
        _after,
    ),
    Shape(
        ("://",),
        re.compile(
            r"(?P<before>[A-Za-z][\w+.\-]{1,30}://[^\s/:@\"'<>]{0,200}:)"
            rf"(?!{re.escape(HIDDEN)}@)[^\s/\"'<>]{{1,500}}(?=@)"
        ),
        _after,
    ),
    Shape(
        ("signature=", "sig=", "token=", "key="),
        re.compile(
            r"(?P<before>[?&][\w\-]{0,40}(?:signature|sig|token|key)=)"
            rf"(?!{re.escape(HIDDEN)})[^\s&\"'<>#]{{8,}}",
            re.IGNORECASE,
        ),
        _after,
    ),
    Shape(
        ("authorization",),
        re.compile(
            rf"(?P<before>authorization{_IS}[\"']?)"
            rf"(?!\s*{re.escape(HIDDEN)})[^\s\"'\\][^\n\"'\\]*",
            re.IGNORECASE,
        ),
        _after,
    ),
    Shape(
        ("bearer ", "basic "),
        re.compile(
            r"(?P<before>\b(?:Bearer|Basic) )(?=[^\s\"',;]{0,2000}[\d=])[A-Za-z0-9._~+/=\-]{8,}",
            re.IGNORECASE,
        ),
        _after,
    ),
    Shape(
        (
            *("passw", "passphrase", *PARTS, "secret", "credential"),
            *(f"{kind}{joint}key" for kind in sorted(KEYS) for joint in "_-"),
            *("apikey", "accesskey"),
        ),
        re.compile(
            rf"(?P<before>{_NAME}{_IS})(?:{_QUOTED}|{_BARE})",
            re.IGNORECASE,
        ),
        _value,
    ),
    Shape(
        # Texts about language models are full of tokens: only one that looks opaque is a secret.
        ("token",),
        re.compile(
            rf"(?P<before>token{_IS})"
            r"(?:(?P<quote>\\*[\"'])(?P<inner>(?=[^\"'\n]{0,200}\d)[A-Za-z0-9_\-.+/=~:]{8,})"
            r"(?P=quote)|(?P<bare>(?=[^\s\"']{0,200}\d)[A-Za-z0-9_\-.+/=~:]{8,}))",
            re.IGNORECASE,
        ),
        _value,
    ),
)


def is_secret_name(name: str) -> bool:
    """Whether a variable or key of this name holds a secret, by how the name ends."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name[-200:])
    words = re.split(r"[^a-z0-9]+", spaced.lower().strip("_- "))
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last == "id" and words[-3:-1] == ["access", "key"]:
        return True
    if last in ("pass", "pwd"):
        return bool(before)
    return last.endswith(SECRET_WORDS) or last in WHOLE_WORDS or (last == "key" and before in KEYS)
