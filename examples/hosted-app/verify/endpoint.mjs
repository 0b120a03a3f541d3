// A whole installation endpoint: APP_SECRET=… APP_DATA=./shops node endpoint.mjs
import { randomUUID } from "node:crypto";
import { open, readFile, rename, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";

import { verifyCallback } from "./verify.mjs";

const secrets = [{ secret: process.env.APP_SECRET, until: null }];

const server = createServer(async (incoming, answer) => {
  let status = 500;
  try {
    const auth = new URLSearchParams(await bodyOf(incoming)).get("auth") ?? "";
    const request = verifyCallback(auth, secrets, Date.now() / 1000);
    status = request ? await take(request) : 401;
  } catch (error) {
    console.error(error.message);
  }
  answer.writeHead(status).end();
});
const port = Number(process.env.APP_PORT ?? 8090);
server.listen(port, "127.0.0.1", () => console.log(`listening on port ${port}`));

async function take({ operation, expires, ...shop }) {
  const file = join(process.env.APP_DATA, `${Buffer.from(shop.shop).toString("hex")}.json`);
  if (operation === "Remove") {
    await rm(file, { force: true }); // it may come again, when the shop is gone already
    return 200;
  }
  const known = operation === "Update" ? await load(file) : {};
  if (known === null) {
    return 404;
  }
  await save(file, { ...known, ...shop });
  return 200;
}

async function load(file) {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") {
      return null;
    }
    throw error;
  }
}

// Whole or not at all: a file beside it, readable by its owner only, that then takes its name.
async function save(file, shop) {
  const beside = `${file}.${randomUUID()}`; // of its own: the same callback may come twice at once
  try {
    await write(beside, JSON.stringify(shop));
    await rename(beside, file);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}

async function write(file, text) {
  const handle = await open(file, "wx", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function bodyOf(incoming) {
  let body = "";
  for await (const chunk of incoming.setEncoding("utf8")) {
    body += chunk;
    if (body.length > 65536) {
      throw new Error("the body is too large");
    }
  }
  return body;
}
