// The vectors in, what verify.mjs says of each out.
import { readFileSync } from "node:fs";

import { verifyCallback } from "../verify/verify.mjs";

const { cases } = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map((one) => verifyCallback(one.auth, one.secrets, one.now))));
