"""Verifies ../vectors with Python's own libraries: what they say must be what the Rust crate says.

    python3 -m venv .venv
    .venv/bin/pip install --require-hashes -r requirements.txt
    .venv/bin/python verify_vectors.py

Prints `ok <name>` for each case and exits 1 if any differs. Of manifests only the canonical form has a library elsewhere.
The callbacks to hosted apps are checked by what app authors write, in examples/hosted-app.

With `--seal` it prints an instance id that libsodium sealed to the vectors' public key. For the way back:

    python verify_vectors.py --seal | cargo run -q -p mercato-wire --example vectors -- open
"""

import base64
import hashlib
import hmac
import json
import re
import sys
from datetime import datetime, timezone
from pathlib import Path
from unittest import mock

import jwt
import nacl.exceptions
import nacl.public
import nacl.signing
import rfc8785
import standardwebhooks
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
failures = 0


def load(name):
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


def report(name, passed):
    global failures
    print(f"{'ok' if passed else 'FAILED'} {name}")
    failures += not passed


def each_case(group, cases, verifies):
    """The library accepts exactly the cases that are to be accepted."""
    if not cases:
        report(f"{group}: no cases", False)
    for case in cases:
        report(f"{group}: {case['name']}", verifies(case) == (case["expect"] == "ok"))


def b64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def timed_signature(case):
    parts = [part.split("=", 1) for part in case["header"].split(",") if part]
    times = [value for scheme, value in parts if scheme == "t"]
    if len(times) != 1 or abs(case["now"] - int(times[0])) > case["tolerance"]:
        return False
    signed = f"{times[0]}.{case['body']}".encode()
    expected = [hmac.new(s.encode(), signed, hashlib.sha256).hexdigest() for s in case["secrets"]]
    given = [value for scheme, value in parts if scheme == "v1"]
    return any(hmac.compare_digest(a, b) for a in expected for b in given)


def standard_webhook(case):
    """The library asks the clock itself, so it is given the case's."""
    headers = {
        "webhook-id": case["id"],
        "webhook-timestamp": case["timestamp"],
        "webhook-signature": case["signature"],
    }
    now = datetime.fromtimestamp(case["now"], timezone.utc)
    with mock.patch.object(standardwebhooks.webhooks, "datetime", wraps=datetime) as clock:
        clock.now.return_value = now
        try:
            Webhook(case["secrets"][0]).verify(case["body"], headers, json_parse=False)
        except WebhookVerificationError:
            return False
    return True


def license_key(case):
    """Contracts section 5, written a second time from its text."""
    symbols = re.sub(r"[\s-]", "", case["input"]).upper()
    if not re.fullmatch(r"CC[0-9A-TV-Z]{20}", symbols):
        return False
    symbols = symbols[2:].translate(str.maketrans("ILO", "110"))
    total = 0
    for at, symbol in enumerate(reversed(symbols)):
        product = CROCKFORD.index(symbol) * (2 if at % 2 else 1)
        total += product // 32 + product % 32
    if total % 32:
        return False
    canonical = "CC-" + "-".join(symbols[at : at + 4] for at in range(0, 20, 4))
    looked_up = hmac.new(bytes.fromhex(case["lookup_key"]), canonical.encode(), hashlib.sha256)
    return (canonical, looked_up.hexdigest()) == (case["canonical"], case["lookup_hash"])


def license_token(file, case):
    """PyJWT checks signature and issuer from the JWKS; the times against the case's clock."""
    keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(file["jwks"]).keys}
    try:
        key = keys[jwt.get_unverified_header(case["token"])["kid"]]
        claims = jwt.decode(
            case["token"],
            key,
            algorithms=["EdDSA"],
            issuer=file["issuer"],
            options={"verify_exp": False, "verify_iat": False},
        )
    except (KeyError, jwt.PyJWTError):
        return False
    in_time = claims["exp"] > case["now"] and claims["iat"] <= case["now"] + 300
    return in_time and claims == {key: value for key, value in case["claims"].items() if value is not None}


def instance_hash(case):
    digest = hashlib.sha256(f"mercato-instance-v1\n{case['instance_id']}".encode()).digest()
    return digest == b64url(case["ins"])


def key_id(key_base64):
    """RFC 7638 over RFC 8037."""
    x = base64.urlsafe_b64encode(base64.b64decode(key_base64)).decode().rstrip("=")
    canonical = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": x}, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).decode().rstrip("=")


def ed25519(key_base64, message, signature_base64):
    try:
        signature = base64.b64decode(signature_base64)
        nacl.signing.VerifyKey(base64.b64decode(key_base64)).verify(message, signature)
    except (nacl.exceptions.BadSignatureError, nacl.exceptions.CryptoError, ValueError):
        return False
    return True


def statement(case):
    text = f"mercato-release-v1\n{case['marketplace_id']}\n{case['version']}\n{case['sha256']}\n"
    named = [key for key in case["keys"] if key_id(key) == case["signature"]["key_id"]]
    return any(ed25519(key, text.encode(), case["signature"]["value"]) for key in named)


def vendor_signature(case):
    artifact = base64.b64decode(case["artifact"])
    by = [key_id(key) for key in case["keys"] if ed25519(key, artifact, case["signature"])]
    return bool(by) and by[0] == case["key_id"]


def download_url(case):
    message = f"mercato-download-v1\n{case['path']}\n{case['expires']}".encode()
    expected = [hmac.new(key.encode(), message, hashlib.sha256).digest() for key in case["keys"]]
    fits = any(hmac.compare_digest(mac, b64url(case["sig"])) for mac in expected)
    return fits and case["now"] < case["expires"]


def sealed_instance(secret, case):
    """libsodium opens what Rust sealed."""
    if not re.fullmatch(r"enc_[A-Za-z0-9_-]+=*", case["sealed"]):
        return False
    try:
        opened = nacl.public.SealedBox(secret).decrypt(b64url(case["sealed"][4:].rstrip("=")))
    except (nacl.exceptions.CryptoError, nacl.exceptions.TypeError, ValueError):
        return False
    return opened.decode() == case["instance_id"]


def canonical(case):
    written = rfc8785.dumps(case["manifest"])
    return (written.decode(), hashlib.sha256(written).hexdigest()) == (case["canonical"], case["sha256"])


def seal(file, instance_id):
    """What a shop in Python sends."""
    public = nacl.public.PublicKey(base64.b64decode(file["public_key"]))
    sealed = nacl.public.SealedBox(public).encrypt(instance_id.encode())
    return "enc_" + base64.urlsafe_b64encode(sealed).decode()


def main():
    sealed = load("sealed_instance")
    if "--seal" in sys.argv:
        print(seal(sealed, sealed["cases"][0]["instance_id"]))
        return 0
    tokens, releases = load("license_token"), load("release")
    secret = nacl.public.PrivateKey(base64.b64decode(sealed["secret_key"]))
    each_case("timed_signature", load("timed_signature")["cases"], timed_signature)
    each_case("standard_webhooks", load("standard_webhooks")["cases"], standard_webhook)
    each_case("license_key", load("license_key")["cases"], license_key)
    each_case("license_token", tokens["cases"], lambda case: license_token(tokens, case))
    for case in tokens["instance_hashes"]:
        report("license_token: instance hash", instance_hash(case))
    each_case("release statement", releases["statements"], statement)
    each_case("release vendor", releases["vendor"], vendor_signature)
    each_case("download_url", load("download_url")["cases"], download_url)
    each_case("sealed_instance", sealed["cases"], lambda case: sealed_instance(secret, case))
    for case in load("manifest")["canonical"]:
        report(f"canonical manifest: {case['name']}", canonical(case))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
