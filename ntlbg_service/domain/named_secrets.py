"""Secrets that a text gives a name to: `password=...`, `"api_key": "..."`, `Authorization: ...`."""

import re
from collections.abc import Callable

from ntlbg_service.domain.secret_names import KEYS, is_chosen, is_drawn, is_made
from ntlbg_service.domain.secret_shapes import SecretShape, is_filler

_PASSWORD = r"(?:password|passwd|passphrase)"
_KEY = (
    r"(?:[_\-.](?:pass|pwd)|(?<=[;?&\s])pwd(?==)|api[_\-]?key|access[_\-]?key(?:[_\-]?id)?"
    rf"|(?:{'|'.join(sorted(KEYS))})[_\-]?key)"
)
_TOKEN = r"(?:secret|credentials?|(?<!page_)(?<!next_)(?<!sync_)(?<!continuation_)token)"
_NO_SECRETS = "(?:CACHE|GROUP|PRIMARY|PUBLIC|RUN|SORT|SUITE)_"
_PASSWORD_HINTS = ("passw", "passphrase")
_KEY_HINTS = (
    *(f"{joint}{word}" for word in ("pass", "pwd") for joint in "_-."),
    *("pwd=", *(f"{word}{joint}key" for word in sorted(KEYS) for joint in ("", "_", "-"))),
)
_TOKEN_HINTS = ("token", "secret", "credential")

_SET = r"(?:\\*[\"']?[ \t]{0,3}(?:[:?]{0,3}=|=>)(?!=)[ \t]{0,3}|\\*[\"'][ \t]{0,3}:[ \t]{0,3})"
"""As in a program, a shell or JSON."""
_SAID = r":[ \t]{0,3}"
"""As in a header or YAML, and in a sentence."""
_OPTION = r"[ \t]{1,3}(?!-)"
"""Behind `--name` alone."""
_INNER = r"(?:\\.|[^\\\n]){0,4000}?"
_PLAIN = r"[^\s\"'&<>)}\]]{0,4000}[^\s\"'&<>)}\],;.:]"
"""Bounded, so that no text takes longer than its length."""
_QUOTED = rf"[bru]{{0,2}}(?P<quote>\\*[\"'])(?P<secret>{_INNER})(?P=quote)"
_BARE = rf"(?P<secret>\\*[\"']?{_PLAIN})"
_EITHER = (
    rf"(?:[bru]{{0,2}}(?P<quote>\\*[\"']))?(?P<secret>(?(quote){_INNER}|{_PLAIN}))"
    r"(?(quote)(?P=quote))"
)
_CALL = re.compile(r"[A-Za-z_][\w.]*[(\[]")
_NAME = re.compile(
    r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|(?:[A-Za-z]+_)*"
    r"(?:\w*pass(?:w|ph)\w*|pw|pwd|secret|token|[a-z]*key|auth|prompt|input)(?:_[A-Za-z]+)*",
    re.IGNORECASE,
)
"""What stands behind `password=` in a program: an attribute, another variable of such a name."""


def _is_literal(value: str) -> bool:
    return not is_filler(value)


def _is_bare_password(value: str) -> bool:
    value = value.lstrip("\\\"'")
    if is_filler(value) or _CALL.match(value) or value.startswith(("/", "~/", "./")):
        return False
    return not _NAME.fullmatch(value) or is_drawn(value)


def _is_key(value: str) -> bool:
    if not is_made(value) or _CALL.match(value):
        return False
    return not _NAME.fullmatch(value) or is_drawn(value)


def _is_token(value: str) -> bool:
    return is_drawn(value) and not _CALL.match(value)


def _is_long_token(value: str) -> bool:
    return len(value) >= 12 and _is_token(value)


def _is_key_of_query(value: str) -> bool:
    return is_drawn(value) and re.fullmatch(r"[0-9a-f\-]+", value) is None


def _shape(hints: tuple[str, ...], pattern: str, judge: Callable[[str], bool]) -> SecretShape:
    return SecretShape(hints, re.compile(pattern, re.IGNORECASE), judge)


NAMED = (
    _shape(_PASSWORD_HINTS, _PASSWORD + _SET + _QUOTED, _is_literal),
    _shape(_PASSWORD_HINTS, _PASSWORD + _SET + _BARE, _is_bare_password),
    _shape(_PASSWORD_HINTS, _PASSWORD + _SAID + _EITHER, is_chosen),
    _shape(_PASSWORD_HINTS, rf"--(?:\w+-){{0,3}}{_PASSWORD}{_OPTION}{_BARE}", is_chosen),
    _shape(_PASSWORD_HINTS, rf"<{_PASSWORD}>(?P<secret>[^<>\s]+)</", _is_literal),
    _shape(_PASSWORD_HINTS, r"\bwith password '(?P<secret>[^'\n]+)'", _is_literal),
    _shape(_PASSWORD_HINTS, rf"\blogin \S+\s+password {_BARE}", _is_literal),
    _shape(_KEY_HINTS, f"{_KEY}(?:{_SET}|{_SAID}){_EITHER}", _is_key),
    _shape(_KEY_HINTS, rf"--(?:\w+-){{0,3}}{_KEY}{_OPTION}{_BARE}", _is_key),
    _shape(_KEY_HINTS, rf"<{_KEY}>(?P<secret>[^<>\s]+)</", _is_key),
    _shape(_KEY_HINTS, rf"\bset \w{{0,30}}{_KEY}{_OPTION}{_BARE}", _is_key),
    _shape(("_key=",), rf"(?-i:\b(?!{_NO_SECRETS})[A-Z]+_KEY)={_EITHER}", _is_token),
    _shape(
        ("username",),
        rf"[\"']username[\"']: ?[\"'][^\"']*[\"'], ?[\"']key[\"']: ?{_QUOTED}",
        is_drawn,
    ),
    _shape(_TOKEN_HINTS, _TOKEN + _SET + _EITHER, _is_token),
    _shape(_TOKEN_HINTS, _TOKEN + _SAID + _EITHER, _is_long_token),
    _shape(_TOKEN_HINTS, rf"--(?:\w+-){{0,3}}{_TOKEN}{_OPTION}{_BARE}", _is_token),
    _shape(
        ("authorization",),
        rf"authorization(?:{_SET}|{_SAID})\\*[\"']?(?:[A-Z][\w\-]{{2,20}} )?{_BARE}",
        is_drawn,
    ),
    _shape(("bearer ", "basic "), rf"\b(?:Bearer|Basic) {_BARE}", _is_long_token),
    _shape(("sig=", "signature="), rf"[?&,]\s?[\w\-]{{0,40}}sig(?:nature)?={_BARE}", is_drawn),
    _shape(("key=",), rf"[?&]key={_BARE}", _is_key_of_query),
    _shape(
        ("curl",),
        rf"\bcurl [^\n|;]{{0,200}}?(?:-u|--user)[ =]{{1,3}}[\"']?[^\s:\"']*:{_BARE}",
        _is_literal,
    ),
    _shape(("wandb",), r"wandb[. ]login[ (][^\n]{0,60}?\b(?P<secret>[0-9a-f]{40})\b", _is_literal),
)
"""Secrets where the text that holds them came from somewhere else: a message, a log, an answer."""
