"""What is sent is signed so that anybody's library for Standard Webhooks takes it, and nothing else."""

from __future__ import annotations

import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from flowtally.alerts import signing

BODY = '{"type":"endpoint.test","data":{"left":5}}'


def test_the_library_takes_what_is_signed_and_nothing_that_was_changed() -> None:
    secret = signing.new_secret()
    headers = signing.headers_of("msg_1", int(time.time()), BODY, [secret])
    assert Webhook(secret).verify(BODY, headers) == {"type": "endpoint.test", "data": {"left": 5}}
    changed = [(BODY + " ", headers), (BODY, headers | {"webhook-id": "msg_2"})]
    changed += [(BODY, headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)})]
    for body, sent in changed:
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, sent)
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.new_secret()).verify(BODY, headers)


def test_while_two_secrets_are_valid_either_verifies() -> None:
    secrets = [signing.new_secret(), signing.new_secret()]
    headers = signing.headers_of("msg_1", int(time.time()), BODY, secrets)
    for one in secrets:
        Webhook(one).verify(BODY, headers)


def test_a_secret_is_long_enough_for_the_specification_and_never_the_same() -> None:
    made = {signing.new_secret() for _ in range(5)}
    assert len(made) == 5
    assert {len(base64.b64decode(one.removeprefix("whsec_"))) for one in made} == {32}


def test_the_signed_text_is_the_one_of_the_specification() -> None:
    """The example of https://www.standardwebhooks.com, from its own library's tests."""
    secret, at = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1_614_265_330
    message, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", '{"test": 2432232314}'
    assert signing.signed_text(message, at, body) == f"{message}.{at}.{body}"
    sent = signing.headers_of(message, at, body, [secret])
    assert sent["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
