// Buys an app as a person with a browser does. In: {chromium, shop, app, width, height, screenshots}. Out: what each
// page looked like, and every error on the way.
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { chromium } from 'playwright-core';

const given = JSON.parse(await text(process.stdin));
const pages = [];
const errors = [];

const browser = await chromium.launch({
  executablePath: given.chromium,
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});
const isPhone = given.width < 600;
const context = await browser.newContext({
  viewport: { width: given.width, height: given.height },
  isMobile: isPhone,
  hasTouch: isPhone,
});
const page = await context.newPage();
page.setDefaultTimeout(30_000);
page.on('console', (message) => ['error', 'warning'].includes(message.type()) && errors.push(message.text()));
page.on('pageerror', (error) => errors.push(String(error)));
page.on('requestfailed', (request) => errors.push(`${request.url()}: ${request.failure()?.errorText}`));
page.on('response', (answer) => answer.status() >= 400 && errors.push(`${answer.url()}: ${answer.status()}`));

// WCAG 2.2, 2.5.8: what is pressed has at least 24 by 24 pixels; links within text are exempt.
const looks = () => {
  const pressed = [...document.querySelectorAll('button, a.button, select, input:not([type=hidden]), nav a')];
  const small = pressed.filter((one) => one.checkVisibility()).map((one) => [one, one.getBoundingClientRect()])
    .filter(([, box]) => box.width < 24 || box.height < 24).map(([one]) => one.outerHTML.slice(0, 80));
  return { overflow: document.documentElement.scrollWidth - window.innerWidth, small };
};

async function note(name) {
  await page.screenshot({ path: join(given.screenshots, `${name}.png`), fullPage: true });
  pages.push({ name, url: page.url(), ...(await page.evaluate(looks)) });
}

try {
  await page.goto(`${given.shop}/admin/marketplace`);
  await note('marketplace');
  await page.fill('#search', 'punchout');
  await page.click('form.search button');
  await page.waitForSelector(`[data-app="${given.app}"]`);
  await note('search');
  await page.click(`[data-app="${given.app}"] h2 a`);
  await page.waitForSelector('[data-action="buy"]');
  await note('app');
  await page.click('[data-action="buy"]');
  await page.waitForSelector('#pay');
  await note('pay');
  await page.click('#pay');
  await page.waitForURL('**/admin/marketplace/thanks**');
  await note('thanks');
  await page.waitForSelector('[data-step="installed"]');
  await note('installed');
  await page.goto(`${given.shop}/admin/plugins`);
  await page.waitForSelector(`[data-app="${given.app}"][data-state="installed"]`);
  await note('plugins');
  await page.goto(`${given.shop}/admin/marketplace/app/@carphacom/bank-transfer`);
  await note('free-app');
} catch (error) {
  await page.screenshot({ path: join(given.screenshots, 'failed.png'), fullPage: true });
  errors.push(`at ${page.url()}: ${error.message}`);
}
await browser.close();
console.log(JSON.stringify({ pages, errors }));
