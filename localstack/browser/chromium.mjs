// Finds the system's Chromium and starts it headless. Playwright's own browser download is never used: a machine that has
// Chromium from its package manager is enough.
import { accessSync, constants } from 'node:fs';
import { chromium } from 'playwright-core';

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/snap/bin/chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];

const FLAGS = [
  '--headless',
  // Chromium refuses to sandbox itself as root, which CI containers are.
  '--no-sandbox',
  '--disable-gpu',
  // Containers often have a /dev/shm of 64 MB, too small for video frames.
  '--disable-dev-shm-usage',
  // The rest keeps it from calling home: on a closed network each attempt is a refused connection and noise in the log.
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
];

/** The browser's path: `CHROMIUM` from the environment, or the first of the usual places. */
export function findChromium() {
  const wanted = process.env.CHROMIUM;
  for (const path of wanted ? [wanted] : PLACES) {
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // The next place may have it.
    }
  }
  throw new Error(
    wanted
      ? `CHROMIUM=${wanted} is not a program that can be run`
      : 'no Chromium found: install it (apt-get install chromium) or set CHROMIUM to its path',
  );
}

/** A running browser with a profile of its own, made and removed by Playwright. */
export function launch() {
  return chromium.launch({ executablePath: findChromium(), headless: true, args: FLAGS, timeout: 30_000 });
}
