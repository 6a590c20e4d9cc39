"""Signatures: AWS's worked example, those of botocore for any request, and what is the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_bedrock import AwsCredentials, signed

from llmmw.wire import Secret

pytestmark = pytest.mark.plugins

ID, KEY = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
PLAIN = AwsCredentials(ID, Secret(KEY))
FOR_A_TIME = AwsCredentials(ID, Secret(KEY), Secret("token/+="))


def signature(url="https://h.example/", headers=(), body=b"", method="GET", **other):
    fields = {"credentials": PLAIN, "region": "us-east-1", "service": "s", "at": AT} | other
    told = signed(method, url, headers, body, **fields)["Authorization"]
    return told.rpartition("=")[2]


def test_the_worked_example_of_aws():
    told = signed(
        "GET",
        "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
        {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        b"",
        PLAIN,
        "us-east-1",
        "iam",
        AT,
    )
    assert told == {
        "X-Amz-Date": "20150830T123600Z",
        "Authorization": (
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
            "SignedHeaders=content-type;host;x-amz-date, "
            "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        ),
    }


names = st.text("abcXYZ0189-", min_size=1, max_size=6).map(lambda name: f"x-{name}a")
told = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), max_size=8)
spaced = st.lists(told, max_size=3).map("  ".join)
steps = st.text("aZ09-._~%:@é ", max_size=5).map(lambda step: step.replace("%", "%3A"))
pairs = st.tuples(st.sampled_from("abAB0-"), st.sampled_from(["", "x", "y~", "%2F", "%E1%88%B4"]))


@settings(max_examples=200)
@given(
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    path=st.lists(steps | st.sampled_from([".", "..", ""]), max_size=4),
    query=st.lists(pairs, max_size=4),
    headers=st.lists(st.tuples(names, spaced), max_size=4),
    body=st.binary(max_size=20),
    token=st.none() | st.just("token/+="),
)
def test_as_botocore_signs(method, path, query, headers, body, token):
    url = f"https://h.example:8443/{'/'.join(path)}"
    url += "?" + "&".join(f"{name}={value}" for name, value in query) if query else ""
    fields = HTTPHeaders()
    for name, value in headers:
        fields.add_header(name, value)
    request = AWSRequest(method, url, headers=fields, data=body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda: AT)
        SigV4Auth(Credentials(ID, KEY, token), "bedrock", "eu-west-1").add_auth(request)
    given = AwsCredentials(ID, Secret(KEY), Secret(token) if token else None)
    ours = signed(method, url, headers, body, given, "eu-west-1", "bedrock", AT)
    assert ours == {name: request.headers[name] for name in ours}
    assert ("X-Amz-Security-Token" in ours) is (token is not None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/", ""),
        ("//", "/"),
        ("/./", "/"),
        ("/a/..", "/"),
        ("/a/b/../..", "/"),
        ("/../..", "/"),
        ("/./a", "/a"),
        ("//a//b//", "/a/b/"),
        ("/a?", "/a"),
        ("/a?b", "/a?b="),
        ("/a?c=2&b=1", "/a?b=1&c=2"),
        ("/a?b=2&b=1", "/a?b=1&b=2"),
        ("/a?b=ሴ", "/a?b=%E1%88%B4"),
        ("/a?b=%7E-_.", "/a?b=~-_."),
        ("/a?b=c+d", "/a?b=c%20d"),
        ("/a?b=c=d", "/a?b=c%3Dd"),
        ("/a b", "/a b"),
    ],
)
def test_addresses_that_are_the_same(one, other):
    assert signature("https://h.example" + one) == signature("https://h.example" + other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/a", "/b"),
        ("/a", "/A"),
        ("/a/", "/a"),
        ("/a:b", "/a%3Ab"),  # encoded once more than it is sent
        ("/a%2Fb", "/a/b"),
        ("/a?b=1", "/a?b=2"),
        ("/a?b=1", "/a?B=1"),
        ("/a?b=%2B", "/a?b=+"),
    ],
)
def test_addresses_that_are_not(one, other):
    assert signature("https://h.example" + one) != signature("https://h.example" + other)


def test_headers():
    base = signature(headers=[("My-Header", "a b")])
    assert signature(headers={"my-header": "  a   b "}) == base
    assert signature(headers=[("MY-HEADER", "a\n   b")]) == base
    assert signature(headers=[("My-Header", "A b")]) != base
    assert signature(headers=[("My-Header", "b a")]) != base
    both = signature(headers=[("X", "2"), ("X", "1")])
    assert both == signature(headers=[("x", "2,1")])
    assert both != signature(headers=[("X", "1"), ("X", "2")])
    order = [("B", "1"), ("A", "2")]
    assert signature(headers=order) == signature(headers=order[::-1])
    assert signature(headers={"Host": "h.example"}) == signature()
    assert signature(headers={"Host": "other"}) != signature()
    assert signature("https://u:p@h.example/") == signature()
    assert signature(headers={"Authorization": "old", "X-Amz-Date": "old"}) == signature()


def test_what_is_sent_counts():
    base = signature(body=b"a")
    digest = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    named = {"X-Amz-Content-Sha256": digest}
    assert len({base, signature(), signature(body=b"b"), signature(method="POST")}) == 4
    assert signature(headers=named) == signature(headers=named, body=b"a") != base


def test_whose_and_where_and_when():
    others = [
        {"region": "eu-west-1"},
        {"service": "bedrock"},
        {"at": AT + timedelta(seconds=1)},
        {"credentials": FOR_A_TIME},
        {"credentials": AwsCredentials(ID, Secret("other"))},
    ]
    assert len({signature(**other) for other in others} | {signature()}) == 6
    elsewhere = AT.astimezone(timezone(timedelta(hours=9)))
    assert signature(at=elsewhere) == signature()


def test_credentials_show_no_key():
    assert repr(FOR_A_TIME) == (
        "AwsCredentials(access_key_id='AKIDEXAMPLE', secret_access_key=Secret(…), "
        "session_token=Secret(…))"
    )
