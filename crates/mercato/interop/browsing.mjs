// A person before a browser. Takes {chromium, width, height, screenshots, …} from standard input, goes the way that it
// is given, and prints what each page looked like, what was read on the way, and every error.
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { chromium } from 'playwright-core';

// WCAG 2.2, 2.5.8: what is pressed has at least 24 by 24 pixels; links within text are exempt.
// A phone's browser widens `innerWidth` to what does not fit: the width that was asked for does not give way.
const looks = (width) => {
  const pressed = [...document.querySelectorAll('button, a.button, select, input:not([type=hidden]), nav a')];
  const small = pressed.filter((one) => one.checkVisibility()).map((one) => [one, one.getBoundingClientRect()])
    .filter(([, box]) => box.width < 24 || box.height < 24).map(([one]) => one.outerHTML.slice(0, 80));
  return { overflow: document.documentElement.scrollWidth - width, small };
};

export async function goes(way) {
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

  const note = async (name) => {
    await page.screenshot({ path: join(given.screenshots, `${name}.png`), fullPage: true });
    pages.push({ name, url: page.url(), ...(await page.evaluate(looks, given.width)) });
  };
  let read;
  try {
    read = await way({ page, given, note });
  } catch (error) {
    await page.screenshot({ path: join(given.screenshots, 'failed.png'), fullPage: true });
    errors.push(`at ${page.url()}: ${error.message}`);
  }
  await browser.close();
  console.log(JSON.stringify({ pages, errors, read }));
}
