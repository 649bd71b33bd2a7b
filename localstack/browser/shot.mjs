#!/usr/bin/env node
// Photographs any page in headless Chromium.
//
//   node shot.mjs URL OUT.png [--width N] [--height N] [--dark] [--full] [--wait MS]
//
// Errors from the page's console go to stderr; the picture is taken all the same. Exit 0 when the picture was written.
import { parseArgs } from 'node:util';
import { launch } from './chromium.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    width: { type: 'string', default: '1280' },
    height: { type: 'string', default: '800' },
    dark: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    wait: { type: 'string', default: '0' },
  },
});
if (positionals.length !== 2) {
  console.error('usage: shot.mjs URL OUT.png [--width N] [--height N] [--dark] [--full] [--wait MS]');
  process.exit(1);
}
const [url, out] = positionals;

const browser = await launch();
try {
  const page = await browser.newPage({
    viewport: { width: Number(values.width), height: Number(values.height) },
    colorScheme: values.dark ? 'dark' : 'light',
  });
  page.on('console', (message) => message.type() === 'error' && console.error(`console: ${message.text()}`));
  page.on('pageerror', (error) => console.error(`page: ${error.message}`));
  await page.goto(url, { waitUntil: 'load', timeout: 30_000 });
  // A page with an open event stream is never idle: what it shows after 3 s is what a person sees.
  await page.waitForLoadState('networkidle', { timeout: 3_000 }).catch(() => {});
  await page.waitForTimeout(Number(values.wait));
  await page.screenshot({ path: out, fullPage: values.full, timeout: 30_000 });
} catch (error) {
  console.error(error.message.split('\n')[0]);
  process.exitCode = 1;
} finally {
  await browser.close();
}
