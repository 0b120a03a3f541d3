"""What a shop written in Python does with its ecosystem's own libraries: {do, …} in, one JSON object out.

The packages are pinned in crates/wire/interop/requirements.txt, which `cargo xtask interop` installs.
"""

import base64
import json
import sys

import jwt
import nacl.public
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def verify_webhook(question):
    try:
        return {"verified": Webhook(question["secret"]).verify(question["body"], question["headers"])}
    except WebhookVerificationError as error:
        return {"refused": type(error).__name__}


def seal(question):
    key = nacl.public.PublicKey(base64.b64decode(question["sealing_key"]))
    box = nacl.public.SealedBox(key).encrypt(question["instance_id"].encode())
    return {"sealed": "enc_" + base64.urlsafe_b64encode(box).decode().rstrip("=")}


def verify_token(question):
    keys = jwt.PyJWKSet.from_dict(question["jwks"])
    try:
        key = keys[jwt.get_unverified_header(question["token"])["kid"]]
        claims = jwt.decode(question["token"], key.key, algorithms=["EdDSA"], issuer=question["issuer"])
        return {"claims": claims}
    except jwt.PyJWTError as error:
        return {"refused": type(error).__name__}


ACTS = {"verify-webhook": verify_webhook, "seal": seal, "verify-token": verify_token}
question = json.load(sys.stdin)
json.dump(ACTS[question["do"]](question), sys.stdout)
