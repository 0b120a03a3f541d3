"""Checks a callback of the marketplace: the request if it is authentic and in time, otherwise None.

    secrets = [{"secret": os.environ["APP_SECRET"], "until": None}]
    request = verify_callback(form.get("auth", ""), secrets, int(time.time()))
"""

import base64
import hashlib
import hmac
import json
import re

FIELDS = {
    "Install": {"shop", "siteURL", "api", "key", "version"},
    "Update": {"shop", "siteURL", "api", "version"},
    "Remove": {"shop"},
}


def verify_callback(auth, secrets, now):
    try:
        signature, data = auth.split(".")
        if not is_signed(decode_base64url(signature), data, secrets, now):
            return None
        request = json.loads(decode_base64url(data))
    except ValueError:  # not two parts, no base64url, no JSON
        return None
    if not isinstance(request, dict) or type(request.get("expires")) is not int or request["expires"] < now:
        return None
    fields = FIELDS.get(str(request.get("operation")))
    return request if fields is not None and fields <= request.keys() else None


def is_signed(signature, data, secrets, now):
    """The signature is over the encoded text, not over the JSON; compare_digest takes constant time."""
    live = [app_key(one["secret"]) for one in secrets if one["until"] is None or now < one["until"]]
    expected = [hmac.new(key, data.encode(), hashlib.sha256).digest() for key in live]
    return any([hmac.compare_digest(one, signature) for one in expected])


def app_key(secret):
    """An empty key would take what anyone signs: a missing secret must stop the app."""
    try:
        key = decode_base64url(secret)
    except ValueError:
        key = b""
    if len(key) < 24:
        raise RuntimeError("the app secret is missing or not whole")
    return key


def decode_base64url(text):
    """Python's own decoder skips what it does not know and takes plain base64; this one does neither."""
    digits = re.fullmatch(r"([A-Za-z0-9_-]*)={0,2}", text)
    if digits is None:
        raise ValueError("no base64url")
    return base64.urlsafe_b64decode(digits[1] + "=" * (-len(digits[1]) % 4))
