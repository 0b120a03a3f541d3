// Installs a hosted app, updates and removes it, and installs a static one, as a person with a browser does. In, besides
// what browsing.mjs takes: {shop, app, hosted, pages, publish: {url, key, signature, manifest, version}}. Out, what was
// asked and what the app showed.
import { readFile } from 'node:fs/promises';
import { goes } from './browsing.mjs';

await goes(async ({ page, given, note }) => {
  const read = { asked: [], shops: [] };
  const app = `${given.shop}/admin/marketplace/app/${given.app}`;
  const article = (state) => page.waitForSelector(`article[data-app="${given.app}"][data-state="${state}"]`);
  const asks = async (name) => {
    await page.waitForSelector('[data-step="consent"]');
    read.asked.push(await page.locator('[data-permissions] li').allTextContents());
    await note(name);
  };
  const looksIn = async (name) => {
    await page.goto(given.hosted);
    read.shops.push((await page.locator('tbody tr').allTextContents()).map((row) => row.trim().split(/\s+/)));
    await note(name);
  };

  await page.goto(`${given.shop}/admin/marketplace?search=guest`);
  await note('feed');
  await page.click(`[data-app="${given.app}"] h2 a`);
  await article('available');
  await note('available');
  await page.click('[data-action="install"]');
  await asks('consent');
  await page.click('[data-action="not-now"]');
  await article('available');
  await page.click('[data-action="install"]');
  await page.click('[data-action="allow"]');
  await article('installed');
  await note('installed');
  await page.click('[data-action="open"]');
  await page.waitForURL(given.hosted);
  await looksIn('arrived');

  const published = await fetch(given.publish.url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${given.publish.key}`,
      'content-type': 'application/json',
      'x-vendor-signature': given.publish.signature,
    },
    body: await readFile(given.publish.manifest),
  });
  if (published.status !== 201) throw new Error(`publishing: ${published.status} ${await published.text()}`);
  await page.goto(app);
  await page.waitForSelector(`[data-update="${given.publish.version}"]`);
  await note('pending-update');
  await page.click('[data-action="update"]');
  await asks('new-consent');
  await page.click('[data-action="allow"]');
  await page.getByText(`Installed ${given.publish.version}`).waitFor();
  await note('updated');
  await looksIn('moved');

  await page.goto(`${given.shop}/admin/plugins`);
  await page.waitForSelector(`[data-app="${given.app}"][data-state="installed"]`);
  await note('plugins');
  await page.click(`[data-app="${given.app}"] [data-action="remove"]`);
  await page.waitForSelector('[data-step="removal"]');
  await note('removal');
  await page.click('[data-action="keep"]');
  await article('installed');
  await page.click('[data-action="remove"]');
  await page.click('[data-action="confirm-removal"]');
  await article('available');
  await note('removed');
  await looksIn('left');

  await page.goto(`${given.shop}/admin/marketplace/app/${given.pages}`);
  await page.click('[data-action="install"]');
  await asks('static-consent');
  await page.click('[data-action="allow"]');
  await page.waitForSelector(`article[data-app="${given.pages}"][data-state="installed"]`);
  await note('static-installed');
  return read;
});
