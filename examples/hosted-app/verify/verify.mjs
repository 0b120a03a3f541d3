// Checks a callback of the marketplace: the request if it is authentic and in time, otherwise null.
//
//     const secrets = [{ secret: process.env.APP_SECRET, until: null }];
//     const request = verifyCallback(form.get("auth") ?? "", secrets, Date.now() / 1000);

import { createHmac, timingSafeEqual } from "node:crypto";

const FIELDS = {
  Install: ["shop", "siteURL", "api", "key", "version"],
  Update: ["shop", "siteURL", "api", "version"],
  Remove: ["shop"],
};

export function verifyCallback(auth, secrets, now) {
  const parts = auth.split(".");
  const [signature, json] = parts.map(decodeBase64url);
  if (parts.length !== 2 || !signature || !json || !isSigned(signature, parts[1], secrets, now)) {
    return null;
  }
  const request = parseJson(json);
  if (!Number.isInteger(request?.expires) || request.expires < Math.floor(now)) {
    return null;
  }
  const fields = Object.hasOwn(FIELDS, request.operation) ? FIELDS[request.operation] : null;
  return fields?.every((field) => Object.hasOwn(request, field)) ? request : null;
}

// The signature is over the encoded text, not over the JSON. timingSafeEqual wants equal lengths.
function isSigned(signature, data, secrets, now) {
  return secrets
    .filter(({ until }) => until === null || now < until)
    .map(({ secret }) => createHmac("sha256", appKey(secret)).update(data).digest())
    .some((expected) => expected.length === signature.length && timingSafeEqual(expected, signature));
}

// An empty key would take what anyone signs: a missing secret must stop the app.
function appKey(secret) {
  const key = decodeBase64url(secret ?? "");
  if (!key || key.length < 24) {
    throw new Error("the app secret is missing or not whole");
  }
  return key;
}

// Node's own decoder skips what it does not know and takes plain base64; this one does neither.
function decodeBase64url(text) {
  const digits = /^([A-Za-z0-9_-]*)={0,2}$/.exec(text)?.[1];
  return digits === undefined || digits.length % 4 === 1 ? null : Buffer.from(digits, "base64url");
}

function parseJson(bytes) {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return null;
  }
}
