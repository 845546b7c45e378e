"""Secrets are hidden whatever stands around them, and ordinary text is left as it is."""

import json
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.workloads.secret_texts import FOLDER, Text, harmless, secrets, shows
from ntlbg_service.domain.named_secrets import NAMED
from ntlbg_service.domain.random_looking import looks_random
from ntlbg_service.domain.secret_names import Named, named
from ntlbg_service.domain.secret_shapes import CERTAIN, HIDDEN
from ntlbg_service.domain.secrets import Secrets

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def drawn(alphabet: str, least: int, most: int) -> st.SearchStrategy[str]:
    """As a program draws a token. Hypothesis would write aaaaaaaa, which nobody's secret is."""

    def of(seed: int) -> str:
        source = random.Random(seed)
        while True:
            text = "".join(source.choices(alphabet, k=source.randint(least, most)))
            if looks_random(text):
                return text

    return st.integers(0, 1 << 60).map(of)


SHAPED = st.one_of(
    drawn(string.ascii_letters, 34, 34).map("hf_{}".format),
    drawn(ALNUM, 20, 40).map("sk-proj-{}".format),
    drawn(string.ascii_uppercase + string.digits, 16, 16).map("AKIA{}".format),
    drawn(ALNUM, 36, 36).map("ghp_{}".format),
    drawn(ALNUM, 36, 36).map("ghs_{}".format),
    drawn(ALNUM, 22, 60).map("github_pat_{}".format),
    drawn(string.digits + "-" + ALNUM, 30, 50).map("xoxb-{}".format),
    drawn(ALNUM, 35, 35).map("AIza{}".format),
)
"""Tokens that are known by how they look."""
ORDINARY = st.text(alphabet=string.ascii_letters + " .,:;=/()[]{}'\"\n0123456789é界", max_size=80)
VALUE = drawn(ALNUM + "-_.+", 12, 40).map("a{}7".format)


def rates(seed: int) -> tuple[list[Text], list[Text]]:
    """The false alarms on the texts without a secret, and the secrets that were not found."""
    known = Secrets()
    return (
        [each for each in harmless(seed) if known.redacted(each.text) != each.text],
        [each for each in secrets(seed) if shows(known.redacted(each.text), each.secret or "")],
    )


def test_every_secret_is_found_and_nothing_else() -> None:
    """`benchmarks/secret_detection.py` measures the rates over more seeds."""
    assert (len(harmless(1)), len(secrets(1))) == (552, 606)
    assert rates(1) == ([], [])


def test_the_texts_are_drawn_from_their_seed_and_no_file_holds_a_token() -> None:
    assert secrets(1) == secrets(1)
    assert secrets(1) != secrets(2)
    for file in FOLDER.iterdir():
        lines = [line for line in file.read_text().splitlines() if "EXAMPLE" not in line]
        for shape in CERTAIN:
            found = [line for line in lines if shape.hidden(line) != line]
            assert [line for line in found if "⟦" not in line] == []


@given(ORDINARY, SHAPED, ORDINARY)
def test_a_token_is_hidden_wherever_it_stands(before: str, token: str, after: str) -> None:
    assert token not in Secrets().printed(f"{before} {token} {after}")
    assert token not in Secrets().redacted(f"name-{token}.json")


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


@given(drawn(ALNUM + "!$%^*()-_=+", 9, 30))
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
    for shape in (*CERTAIN, *NAMED):
        assert all(hint == hint.lower() for hint in shape.hints)
    names = ("password:", "a.pass=", "License_Key=", "AccessKey=", "access-key-id=", "--my-passwd ")
    for name in names:
        assert HIDDEN in Secrets().redacted(f"{name}x1y2z3w4"), name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("HF_TOKEN", Named.TOKEN),
        ("hfToken", Named.TOKEN),
        ("credentials", Named.TOKEN),
        ("PGPASSWORD", Named.PASSWORD),
        ("DB_PASS", Named.KEY),
        ("db.pwd", Named.KEY),
        ("AWS_SECRET_ACCESS_KEY", Named.KEY),
        ("AWS_ACCESS_KEY_ID", Named.KEY),
        ("wandb.api-key", Named.KEY),
        *((name, None) for name in ("PWD", "OLDPWD", "suite_key", "max_tokens", "compass", "")),
        ("TOKENIZERS_PARALLELISM", None),
        ("RAY_AUTH_TOKEN_PATH", None),
    ],
)
def test_names_of_secrets(name: str, kind: Named | None) -> None:
    assert named(name) is kind


def test_a_name_of_ours_hides_nothing_of_what_we_print() -> None:
    link = "http://127.0.0.1:5000/#/experiments/1/runs?orderByKey=tags.%60mlflow.runName%60"
    command = "ntlbg ui --home /home/ada/token=Zr4tYu8IoPq2Wx7B"
    for text in (link, command, "password=summer2026!"):
        assert Secrets().printed(text) == text
    assert Secrets().redacted(link) == link
    assert Secrets.of({"LAB_TOKEN": "summer2026!"}).printed("as summer2026!") == f"as {HIDDEN}"


def test_a_mapping_is_searched_by_names_and_values() -> None:
    token = "hf_" + "a1" * 12
    value = {"a": [1, {"password": "swordfish"}], "b": {"text": f"see {token}"}, "max_tokens": "12"}
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
