// Verifies a licence token with `jose`: {token, jwks, issuer} in, {claims} or {refused} out.
import { text } from 'node:stream/consumers';
import { createLocalJWKSet, jwtVerify } from 'jose';

const { token, jwks, issuer } = JSON.parse(await text(process.stdin));
try {
  const options = { issuer, algorithms: ['EdDSA'], requiredClaims: ['sub', 'app', 'ins', 'st', 'iat', 'exp'] };
  const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), options);
  console.log(JSON.stringify({ claims: payload }));
} catch (error) {
  console.log(JSON.stringify({ refused: error.code }));
}
