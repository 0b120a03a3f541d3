// Buys an app as a person with a browser does. In, besides what browsing.mjs takes: {shop, app}.
import { goes } from './browsing.mjs';

await goes(async ({ page, given, note }) => {
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
});
