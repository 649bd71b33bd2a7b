// What scenarios have in common: a browser, people in it, and a watch on everything that must not happen on a page.
//
//   node NAME.mjs BASE_URL [CLIP…]
//
// One line of JSON on stdout tells what was seen. Exit 0: all of it held. Exit 1: something did not, and stderr says what; also
// when a page wrote an error to the console, threw, broke its Content-Security-Policy, or was answered 5xx.
import assert from 'node:assert/strict';
import { launch } from '../chromium.mjs';
import { Account, until } from './house.mjs';

const DEADLINE_MS = 240_000;
export const PASSWORD = 'correct horse 7';

/** A browser's own window of one person, with nobody else's cookies. */
export class Person {
  static async arrive(stage, options = {}) {
    const context = await stage.browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    context.setDefaultTimeout(60_000);
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        console.error(`policy: ${event.violatedDirective} forbids ${event.blockedURI || 'inline'} (${event.sourceFile})`);
      });
    });
    const page = await context.newPage();
    stage.watch(page);
    return Object.assign(new Person(), { context, page, base: stage.base });
  }

  go(path) {
    return this.page.goto(new URL(path, this.base).href);
  }

  button(name) {
    return this.page.getByRole('button', { name, exact: true });
  }

  /** Signs up by the page's form; leaves the person on the feed. */
  async signUp(username) {
    await this.go('/signup');
    await this.page.getByLabel('Username').fill(username);
    await this.page.getByLabel('E-mail').fill(`${username}@example.com`);
    await this.page.getByLabel('Password').fill(PASSWORD);
    await this.button('Sign up').click();
    await this.page.waitForURL(new URL('/', this.base).href);
  }

  async signIn(username) {
    await this.go('/signin');
    await this.page.getByLabel('Name or e-mail').fill(username);
    await this.page.getByLabel('Password').fill(PASSWORD);
    await this.button('Sign in').click();
    await this.page.waitForURL(new URL('/', this.base).href);
  }

  /** Follows a link of the navigation, as a person does: without loading the page again. */
  async follow(label) {
    await this.page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: label, exact: true }).click();
  }

  async choose(...files) {
    await this.page.locator('input[type=file][multiple]').setInputFiles(files);
  }

  /** Waits until an upload's card is in a phase. */
  async phase(...phases) {
    const card = this.page.locator(phases.map((phase) => `article[data-phase="${phase}"]`).join(', ')).first();
    await card.waitFor({ timeout: 100_000 });
    return card;
  }

  /** What the page's player is at. */
  player() {
    return this.page.locator('media-controller video').evaluate((video) => {
      const { totalVideoFrames: frames, droppedVideoFrames: dropped } = video.getVideoPlaybackQuality();
      const { currentTime, duration, paused, ended, videoWidth, videoHeight } = video;
      return { currentTime, duration, paused, ended, videoWidth, videoHeight, frames, dropped };
    });
  }

  /** Waits until something holds on the page. Playwright's own way to wait is `eval`, which our policy forbids. */
  when(what, condition, argument) {
    return until(what, () => this.page.evaluate(condition, argument), 60_000, 30);
  }

  /** Waits until something about the page's player holds. */
  playerIs(what, condition, argument) {
    const video = this.page.locator('media-controller video');
    return until(`the player that ${what}`, () => video.evaluate(condition, argument), 60_000, 30);
  }
}

class Stage {
  constructor(base, browser) {
    Object.assign(this, { base, browser, troubles: [], forgiven: [] });
  }

  /** Lets pass what a scenario brings about on purpose. */
  forgive(pattern) {
    this.forgiven.push(pattern);
  }

  trouble(text) {
    if (!this.forgiven.some((pattern) => pattern.test(text))) this.troubles.push(text);
  }

  watch(page) {
    page.on('console', (message) => {
      if (message.type() === 'error') this.trouble(`console: ${message.text()} (${message.location().url})`);
    });
    page.on('pageerror', (error) => this.trouble(`page: ${error.stack ?? error.message}`));
    page.on('crash', () => this.trouble('the page crashed'));
    page.on('response', (response) => {
      if (response.status() >= 500) this.trouble(`${response.status()} ${response.url()}`);
    });
  }

  person(options) {
    return Person.arrive(this, options);
  }

  /** Somebody known to the API only. */
  account(username) {
    return Account.register(this.base, username, PASSWORD);
  }
}

/** Runs a scenario; what it returns is printed. */
export async function scenario(play) {
  const [base, ...clips] = process.argv.slice(2);
  const timer = setTimeout(() => fail(new Error(`no end after ${DEADLINE_MS / 1000} s`)), DEADLINE_MS);
  let browser;
  let stage;
  try {
    assert(base, 'usage: node NAME.mjs BASE_URL [CLIP…]');
    browser = await launch();
    stage = new Stage(new URL(base).href, browser);
    const seen = await play(stage, clips);
    assert.deepEqual(stage.troubles, [], 'pages had troubles');
    console.log(JSON.stringify(seen ?? {}));
  } catch (error) {
    console.error(error.stack ?? error);
    for (const trouble of stage?.troubles ?? []) console.error(trouble);
    await picture(browser);
    process.exitCode = 1;
  } finally {
    clearTimeout(timer);
    await browser?.close().catch(() => undefined);
  }
  process.stdout.write('', () => process.exit());
}

function fail(error) {
  console.error(error.message);
  process.exit(1);
}

/** With SCENARIO_PICTURES=DIR, what pages looked like when it went wrong. */
async function picture(browser) {
  const folder = process.env.SCENARIO_PICTURES;
  const pages = folder ? browser?.contexts().flatMap((context) => context.pages()) ?? [] : [];
  for (const [index, page] of pages.entries()) {
    await page.screenshot({ path: `${folder}/failed-${index}.png` }).catch(() => undefined);
  }
}

export { assert, until };
