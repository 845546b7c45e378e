"""Secrets are hidden whatever stands around them, and ordinary text is left as it is."""

import json
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.domain.secret_shapes import HIDDEN, SHAPES, is_secret_name
from ntlbg_service.domain.secrets import Secrets

ALNUM = string.ascii_letters + string.digits


def of_alphabet(alphabet: str, least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(alphabet=alphabet, min_size=least, max_size=most)


SHAPED = st.one_of(
    of_alphabet(ALNUM, 20, 40).map("hf_{}".format),
    of_alphabet(ALNUM, 20, 40).map("sk-proj-7{}".format),
    of_alphabet(string.ascii_uppercase + string.digits, 16, 16).map("AKIA{}".format),
    of_alphabet(ALNUM, 36, 36).map("ghp_{}".format),
    of_alphabet(ALNUM, 36, 36).map("ghs_{}".format),
    of_alphabet(ALNUM, 22, 60).map("github_pat_{}".format),
    of_alphabet(string.digits + "-", 12, 30).map("xoxb-{}".format),
    of_alphabet(ALNUM, 35, 35).map("AIza{}".format),
)
"""Tokens that are known by how they look."""
ORDINARY = st.text(alphabet=string.ascii_letters + " .,:;=/()[]{}'\"\n0123456789é界", max_size=80)
VALUE = of_alphabet(ALNUM + "-_.+/=", 8, 40).filter(lambda text: re.search(r"[A-Za-z].*\d", text))


@given(ORDINARY, SHAPED, ORDINARY)
def test_a_token_is_hidden_wherever_it_stands(before: str, token: str, after: str) -> None:
    assert token not in Secrets().redacted(f"{before} {token} {after}")
    assert token not in Secrets().redacted(f"name{token}.json")


@pytest.mark.parametrize(
    "around",
    [
        "password={}",
        "PGPASSWORD={} psql",
        "--hf-token={}",
        'client = Client(api_key="{}")',
        '{{"wandb": {{"api_key": "{}"}}}}',
        r"{{\"aws_secret_access_key\": \"{}\"}}",
        "'secret': '{}'",
        "HF_TOKEN: {}",
        "Authorization: {}",
        "authorization: Bearer {}, more",
        "curl -H 'Authorization: Bearer {}' http://head",
        "https://api.example/v1?page=2&access_token={}&x=1",
        "GET /artifact?X-Amz-Signature={}",
    ],
)
@given(VALUE)
def test_a_value_is_hidden_by_its_name(around: str, value: str) -> None:
    said = Secrets().redacted(around.format(value))
    assert value not in said
    assert HIDDEN in said


@given(of_alphabet(ALNUM + "!$%^*()-_=+", 1, 30).filter(lambda text: text not in "ledger"))
def test_the_password_of_an_address_is_hidden(password: str) -> None:
    said = Secrets().redacted(f"cannot reach postgresql+psycopg://ada:{password}@db:5432/ledger")
    assert said == f"cannot reach postgresql+psycopg://ada:{HIDDEN}@db:5432/ledger"


@pytest.mark.parametrize(
    "address",
    [
        "https://hooks.slack.com/services/T000/B000/abcdefgh",
        "https://discord.com/api/webhooks/12345/abcdefgh",
        "https://lab.webhook.office.com/webhookb2/abcdefgh",
    ],
)
def test_whoever_knows_a_webhook_may_use_it(address: str) -> None:
    assert "abcdefgh" not in Secrets().redacted(f"posting to {address} failed")


def test_a_private_key_is_hidden_also_where_its_end_is_not_there() -> None:
    begin, end = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"
    whole = f"before\n{begin}\nMIIabc\ndef\n{end}\nafter"
    assert Secrets().redacted(whole) == f"before\n{HIDDEN}\nafter"
    assert "MIIabc" not in Secrets().redacted(f"{begin}\nMIIabc")


@given(ORDINARY, VALUE, ORDINARY)
def test_a_value_of_the_environment_is_hidden_everywhere(
    before: str, value: str, after: str
) -> None:
    secrets = Secrets.of({"LAB_TOKEN": value, "HOME": "/home/ada"})
    assert value not in secrets.redacted(f"{before}{value}{after}")
    assert value not in json.dumps(secrets.hidden({"deep": [{value: before}, [value]]}))


def test_a_value_is_found_as_it_is_written_in_json_and_in_an_address() -> None:
    secrets = Secrets.of({"LAB_PASSWORD": 'pa"ss/wörd1'})
    for spelt in ('pa"ss/wörd1', json.dumps('pa"ss/wörd1'), "pa%22ss%2Fw%C3%B6rd1"):
        assert "rd1" not in secrets.redacted(f"said {spelt} there")


@given(ORDINARY)
def test_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert Secrets.of({"LAB_TOKEN": "kB7wqz0LmPq2"}).redacted(text) == text


@pytest.mark.parametrize(
    "line",
    [
        "step 12/400 loss 0.123 visual tokens: 12345678 max_tokens=512 tokens_per_second=2.0",
        "special token: <|vision_start|>, unknown token: missing, token=None, secret=None",
        "def login(password: str, token: str | None = None) -> None:",
        "InvalidAuthToken: the cluster wants a token",
        "RAY_AUTH_TOKEN_PATH=/home/ada/.ray/auth_token TOKENIZERS_PARALLELISM=false",
        "suite_key=quickstart@laptop key=5 keys: 12 monkey=banana1234",
        "postgresql://ada@db/ledger and http://127.0.0.1:5000/#/experiments/1",
        "mask-1234567890abcdefghijk disk-0123456789abcdefghijkl half_0123456789abcdef01",
        "compass: north, bypass=1, three passed, 2 tests pass: yes",
        "OLDPWD=/home/ada/lab pwd: /home/ada",
        "Basic settings of run 12 and Bearer of news",
    ],
)
def test_what_logs_say_all_day_is_no_secret(line: str) -> None:
    assert Secrets().redacted(line) == line


@given(st.one_of(SHAPED.map("x {}".format), VALUE.map('password="{}"'.format)), ORDINARY)
def test_what_is_hidden_stays_so(text: str, more: str) -> None:
    once = Secrets().redacted(f"{text} {more}")
    assert Secrets().redacted(once) == once


def test_hints_only_save_work() -> None:
    """A text without the hints of a shape has no match of it: each example has one."""
    for shape in SHAPES:
        assert all(hint == hint.lower() for hint in shape.hints)
    for text in ("password: x1", "a.pass=x1", "License_Key=x1", "AccessKey=x1", "access-key-id=x1"):
        assert HIDDEN in Secrets().redacted(text), text


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("HF_TOKEN", True),
        ("hfToken", True),
        ("PGPASSWORD", True),
        ("DB_PASS", True),
        ("db.pwd", True),
        ("PWD", False),
        ("OLDPWD", False),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("AWS_ACCESS_KEY_ID", True),
        ("wandb.api-key", True),
        ("credentials", True),
        ("suite_key", False),
        ("max_tokens", False),
        ("TOKENIZERS_PARALLELISM", False),
        ("RAY_AUTH_TOKEN_PATH", False),
        ("compass", False),
        ("", False),
    ],
)
def test_names_of_secrets(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


def test_a_mapping_is_searched_by_names_and_values() -> None:
    token = "hf_" + "a1" * 12
    value = {"a": [1, {"password": "pw"}], "b": {"text": f"see {token}"}, "max_tokens": "12"}
    secrets = Secrets()
    assert secrets.hidden(value) == {
        "a": [1, {"password": HIDDEN}],
        "b": {"text": f"see {HIDDEN}"},
        "max_tokens": "12",
    }
    assert secrets.place_in(value) == "a.1.password"
    assert secrets.place_in(value["b"]) == "text"
    assert secrets.place_in({"x": {token: 1}}) == f"x.{HIDDEN}"
    assert secrets.place_in({"password": None, "n": 3, "s": ["plain"]}) is None
    assert secrets.place_in(secrets.hidden(value)) is None
