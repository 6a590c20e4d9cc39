"""Keys, credentials, regions and addresses: where they come from, and whom they reach."""

from __future__ import annotations

import base64
import json
import logging
import sys
import time
import traceback
from datetime import UTC, datetime

import pytest
from llmmw_bedrock import AwsCredentials, signed

from llmmw import Client
from llmmw.errors import AuthenticationFailed, ConfigError, ConnectionFailed, LLMError
from llmmw.testing import Answer, open_server
from llmmw.wire import Secret

pytestmark = pytest.mark.plugins

OTHER = "bedrock-api-key-other-fedcba9876543210"


def good(wire):
    return wire.whole(wire.message("x"))


async def sent(wire, prompt="hi", *, extra=None, **options):
    """The request as it reached the host."""
    async with wire.client(good(wire), **options) as (client, server):
        await client.ask(prompt, extra=extra or {})
    (received,) = server.requests
    return received, server


def proven(received, server, credentials, region="us-east-1"):
    """Whether a request is signed with these, as the host would find out."""
    told = received.headers
    names = told["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    at = datetime.strptime(told["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    shown = {name: told[name] for name in names if not name.startswith("x-amz-")}
    url = server.url + received.path
    wanted = signed("POST", url, shown, received.body, credentials, region, "bedrock", at)
    assert {"host", "content-type"} <= shown.keys()
    assert abs(at.timestamp() - time.time()) < 60
    return wanted["Authorization"] == told["authorization"]


async def test_what_each_request_carries(wire):
    received, _ = await sent(wire)
    model = "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0"
    assert received.path == f"/model/{model}/converse"
    assert received.headers["authorization"] == f"Bearer {wire.key}"
    assert received.headers["user-agent"].startswith("llmmw-bedrock/")
    assert received.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1%3A0"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/ab12",
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fab12",
        ),
        ("global.anthropic.claude-opus-4-6-v1", "global.anthropic.claude-opus-4-6-v1"),
    ],
)
async def test_signed_by_any_name_of_a_model(wire, model, path):
    received, server = await sent(wire, model=model, make=wire.signing, session_token=wire.token)
    assert received.path == f"/model/{path}/converse"
    assert received.headers["x-amz-security-token"] == wire.token
    given = AwsCredentials(wire.id, Secret(wire.secret), Secret(wire.token))
    assert proven(received, server, given)
    assert not proven(received, server, AwsCredentials(wire.id, Secret("another")))


async def test_a_key_from_a_variable(wire, monkeypatch):
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", OTHER)
    received, _ = await sent(wire, api_key=None)
    assert received.headers["authorization"] == f"Bearer {OTHER}"
    received, _ = await sent(wire)  # what is passed counts more
    assert received.headers["authorization"] == f"Bearer {wire.key}"
    received, server = await sent(wire, make=wire.signing)  # credentials that are passed, too
    assert proven(received, server, AwsCredentials(wire.id, Secret(wire.secret)))


async def test_credentials_from_variables(wire, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", wire.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", wire.secret)
    monkeypatch.setenv("AWS_SESSION_TOKEN", wire.token)
    received, server = await sent(wire, api_key=None)
    given = AwsCredentials(wire.id, Secret(wire.secret), Secret(wire.token))
    assert proven(received, server, given)


async def test_options_may_say_where_credentials_are(wire, monkeypatch, tmp_path):
    monkeypatch.setenv("MY_KEY", wire.secret)
    (tmp_path / "token").write_text(wire.token + "\n")
    where = {"secret_access_key": "env:MY_KEY", "session_token": f"file:{tmp_path / 'token'}"}
    received, server = await sent(wire, make=wire.signing, **where)
    given = AwsCredentials(wire.id, Secret(wire.secret), Secret(wire.token))
    assert proven(received, server, given)


async def test_credentials_and_region_from_a_profile(wire, tmp_path):
    keys = {"aws_access_key_id": "AKIDWORK", "aws_secret_access_key": "work-secret-0123456789"}
    wire.profiles(tmp_path, work={"region": "eu-central-1", **keys})
    received, server = await sent(wire, profile="work", region=None)
    given = AwsCredentials("AKIDWORK", Secret("work-secret-0123456789"))
    assert proven(received, server, given, "eu-central-1")
    with pytest.raises(ConfigError, match=r"no region is known: .*nobody"):
        wire.provider("", profile="nobody", region=None)
    with pytest.raises(AuthenticationFailed, match="nobody"):
        await sent(wire, profile="nobody")


async def test_a_profile_that_was_written_anew_is_read_when_its_key_is_refused(wire, tmp_path):
    def write(key):
        told = {"aws_access_key_id": "AKIDWORK", "aws_secret_access_key": key}
        wire.profiles(tmp_path, work=told)

    fresh = AwsCredentials("AKIDWORK", Secret("second-secret-0123456789"))
    write("first-secret-0123456789")

    async def answer(received):
        if proven(received, server, fresh):
            return good(wire)
        write("second-secret-0123456789")
        return wire.whole({"message": "old"}, 403, x_amzn_errortype="ExpiredTokenException:x")

    async with wire.client(answer, profile="work") as (client, server):
        assert (await client.ask("hi")).text == "x"
        assert (await client.ask("hi")).text == "x"
    assert len(server.requests) == 3


async def test_a_role_that_is_assumed_tells_no_log(wire, monkeypatch, caplog, tmp_path):
    """botocore's loggers would show all that the host says, and so the credentials."""
    fields = {
        "AccessKeyId": wire.id,
        "SecretAccessKey": wire.secret,
        "SessionToken": wire.token,
        "Expiration": wire.later(60),
    }
    inner = "".join(f"<{name}>{told}</{name}>" for name, told in fields.items())
    result = f"<AssumeRoleResult><Credentials>{inner}</Credentials></AssumeRoleResult>"
    place = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
    body = f"<AssumeRoleResponse {place}>{result}</AssumeRoleResponse>".encode()
    caplog.set_level(logging.DEBUG)
    source = {"aws_access_key_id": "AKIDBASE", "aws_secret_access_key": "base-secret-0123456789"}
    role = {"role_arn": "arn:aws:iam::123456789012:role/r", "source_profile": "base"}
    wire.profiles(tmp_path, base=source, work={**role, "region": "us-east-1"})
    async with open_server(Answer(headers={"Content-Type": "text/xml"}, body=body)) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        received, server = await sent(wire, profile="work")
    given = AwsCredentials(wire.id, Secret(wire.secret), Secret(wire.token))
    assert proven(received, server, given)
    for secret in (wire.secret, wire.token, "base-secret"):
        assert secret not in caplog.text
    assert "botocore" in caplog.text  # it says other things


async def test_a_role_of_single_sign_on_without_a_login(wire, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    sso = {"sso_start_url": "https://x", "sso_region": "us-east-1", "sso_role_name": "r"}
    wire.profiles(tmp_path, work={**sso, "sso_account_id": "123456789012"})
    with pytest.raises(AuthenticationFailed, match=r"no AWS credentials: .*SSO") as caught:
        await sent(wire, profile="work")
    assert caught.value.processed is False


async def test_a_container_that_is_not_there(wire, monkeypatch):
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/keys")
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    with pytest.raises((AuthenticationFailed, ConnectionFailed)) as caught:
        await sent(wire, api_key=None)
    assert caught.value.processed is False


async def test_no_credentials_at_all(wire):
    with pytest.raises(AuthenticationFailed, match="there are no AWS credentials: set AWS_ACCESS"):
        await sent(wire, api_key=None)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"api_key": "k", "profile": "p"}, "give api_key, or AWS credentials, not both"),
        ({"access_key_id": "a"}, "access_key_id and secret_access_key go together"),
        ({"api_key": None, "secret_access_key": "s"}, "go together"),
        ({"access_key_id": "a", "secret_access_key": "s", "profile": "p"}, "not both"),
        ({"region": "x.evil.example/"}, "expected a name as us-east-1"),
    ],
)
def test_options_that_contradict_each_other(wire, options, match):
    with pytest.raises(ConfigError, match=match):
        wire.provider("", **options)


def test_the_address(wire, monkeypatch):
    def places(**options):
        made = wire.provider("", **options)
        return made._http.base_url, made.models.http.base_url

    runtime, control = (
        "https://bedrock-runtime.{}.amazonaws.com",
        "https://bedrock.{}.amazonaws.com",
    )
    assert places() == (runtime.format("us-east-1"), control.format("us-east-1"))
    china = "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"
    assert places(region="cn-north-1")[0] == china
    with pytest.raises(ConfigError, match="no region is known: set AWS_REGION"):
        places(region=None)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert places(region=None)[0] == runtime.format("eu-west-1")
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    assert places(region=None)[0] == runtime.format("eu-west-2")
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "https://a.example")
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", "https://b.example")
    assert places() == ("https://a.example", "https://b.example")
    assert places(base_url="https://c.example", control_url="https://d.example") == (
        "https://c.example",
        "https://d.example",
    )


def test_a_region_in_the_address(wire):
    url = "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com"
    assert wire.provider(url, region=None).region == "us-gov-west-1"
    assert not wire.provider("http://proxy.example", region=None).region  # no need of one
    with pytest.raises(ConfigError, match="no region is known"):
        wire.signing("http://proxy.example", region=None)


async def test_fields_under_the_name_of_an_account(wire):
    extra = {"work": {"serviceTier": {"type": "flex"}}}
    received, _ = await sent(wire, extra=extra, name="work")
    assert received.json()["serviceTier"] == {"type": "flex"}


@pytest.mark.parametrize("signs", [False, True])
async def test_keys_are_told_to_nobody(wire, caplog, signs):
    async def answer(received):
        said = " ".join((*received.headers.values(), wire.secret))
        return wire.whole({"message": f"you sent {said}"}, 400, x_echo=said)

    caplog.set_level(logging.DEBUG)
    options = {"headers": {"X-Proxy-Key": OTHER}}
    if signs:
        options |= {"make": wire.signing, "session_token": wire.token}
    async with wire.client(answer, **options) as (client, server):
        with pytest.raises(LLMError, match="you sent") as caught:
            await client.ask("hi")
        error = caught.value
        trace = "".join(traceback.TracebackException.from_exception(error).format())
        shown = [str(error), repr(error), trace, repr(client), caplog.text]
        frame = error.__traceback__.tb_next  # the first is this test
        while frame is not None:
            shown.append(repr(frame.tb_frame.f_locals))
            frame = frame.tb_next
        ours = [wire.secret, wire.token] if signs else [wire.key]
        for secret in (OTHER, *ours):
            for form in (secret, base64.b64encode(secret.encode()).decode()):
                assert not any(form in text for text in shown)
        made = (options.get("make") or wire.provider)(server.url)
    assert wire.key not in repr(made)
    assert wire.secret not in repr(made)


async def test_credentials_as_options_of_a_client(wire):
    async with open_server(good(wire)) as server:
        keys = {"access_key_id": wire.id, "secret_access_key": wire.secret}
        options = {"bedrock": {"base_url": server.url, "region": "us-east-1", **keys}}
        async with Client("bedrock:amazon.nova-lite-v1:0", stack=[], options=options) as client:
            assert (await client.ask("hi")).text == "x"
            assert wire.secret not in repr(client)
    assert proven(server.requests[0], server, AwsCredentials(wire.id, Secret(wire.secret)))


@pytest.mark.parametrize(
    ("address", "region"),
    [
        ("https://bedrock-runtime.us-west-2.amazonaws.com", "us-west-2"),
        (
            "https://vpce-0ab-1cd.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com",
            "ap-southeast-2",
        ),
        ("https://bedrock-runtime.us-gov-east-1.api.aws", "us-gov-east-1"),
        ("https://bedrock-proxy.example.com", "eu-west-1"),
        ("http://127.0.0.1:4566", "eu-west-1"),
    ],
)
def test_an_address_takes_signatures_of_its_own_region_alone(wire, monkeypatch, address, region):
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert wire.signing(address, region=None).region == region
    assert wire.signing(address, region="il-central-1").region == "il-central-1"


@pytest.mark.parametrize(
    ("region", "end"),
    [
        ("us-gov-west-1", "amazonaws.com"),
        ("cn-north-1", "amazonaws.com.cn"),
        ("eusc-de-east-1", "amazonaws.eu"),
        ("us-iso-east-1", "c2s.ic.gov"),
        ("us-isob-west-1", "sc2s.sgov.gov"),
    ],
)
def test_parts_of_aws_that_stand_apart(wire, monkeypatch, region, end):
    assert (
        wire.provider("", region=region)._http.base_url == f"https://bedrock-runtime.{region}.{end}"
    )
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "True")
    made = wire.provider("", region=region)
    assert made._http.base_url == f"https://bedrock-runtime-fips.{region}.{end}"
    assert made.models.http.base_url == f"https://bedrock-fips.{region}.{end}"


def test_an_address_for_all_services(wire, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    local = wire.provider("")
    assert {local._http.base_url, local.models.http.base_url} == {"http://127.0.0.1:4566"}
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", "https://b.example")
    local = wire.provider("")
    assert local._http.base_url == "http://127.0.0.1:4566"
    assert local.models.http.base_url == "https://b.example"


@pytest.mark.parametrize("space", ["\n", " ", "\r\n"])
async def test_white_space_around_credentials_is_no_part_of_them(wire, monkeypatch, space):
    given = AwsCredentials(wire.id, Secret(wire.secret), Secret(wire.token))
    keys = {"ACCESS_KEY_ID": wire.id, "SECRET_ACCESS_KEY": wire.secret, "SESSION_TOKEN": wire.token}
    options = {"session_token": wire.token + space, "secret_access_key": wire.secret + space}
    received, server = await sent(wire, access_key_id=wire.id + space, **options)
    assert proven(received, server, given)
    for name, told in keys.items():
        monkeypatch.setenv(f"AWS_{name}", told + space)
    received, server = await sent(wire, api_key=None)
    assert proven(received, server, given)


@pytest.mark.parametrize("name", ["AKID\nX", "", "AK ID"])
@pytest.mark.parametrize("chain", [False, True])
async def test_credentials_that_are_not_whole_go_nowhere(wire, monkeypatch, tmp_path, name, chain):
    if chain:
        script = tmp_path / "tell.py"
        told = {"Version": 1, "AccessKeyId": name, "SecretAccessKey": wire.secret}
        script.write_text(f"print({json.dumps(json.dumps(told))})\n")
        wire.profiles(tmp_path, work={"credential_process": f"{sys.executable} {script}"})
        options = {"profile": "work"}
    else:
        options = {"access_key_id": name, "secret_access_key": wire.secret}
    async with wire.client(good(wire), **options) as (client, server):
        with pytest.raises(AuthenticationFailed, match="were they copied wholly") as caught:
            await client.ask("hi")
    assert server.requests == []
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    text = "".join(line for line in told.format() if "test_account.py" not in line)
    assert wire.secret not in text
