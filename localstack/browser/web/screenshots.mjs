#!/usr/bin/env node
// Photographs each view of a house, phone and desktop, light and dark.
//
//   node screenshots.mjs BASE_URL OUT_DIR
//
// The house has clips already. For the views of an account somebody signs up and posts some of them again, and one file
// that is refused.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch } from '../chromium.mjs';
import { Account } from './house.mjs';

const SIZES = {
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
  desktop: { viewport: { width: 1440, height: 900 }, deviceScaleFactor: 1 },
};
const SCHEMES = ['light', 'dark'];

const [base, out] = process.argv.slice(2);
if (!base || !out) {
  console.error('usage: node screenshots.mjs BASE_URL OUT_DIR');
  process.exit(1);
}
await mkdir(out, { recursive: true });
const browser = await launch();
try {
  const { items } = await (await fetch(new URL('/api/v1/videos?limit=10', base))).json();
  const folder = await mkdtemp(join(tmpdir(), 'screenshots-'));
  const somebody = await posted(items.slice(0, 4), folder).finally(() => rm(folder, { recursive: true }));
  for (const [size, options] of Object.entries(SIZES)) {
    for (const colorScheme of SCHEMES) {
      const context = await browser.newContext({ ...options, colorScheme });
      await photograph(await context.newPage(), `${size}-${colorScheme}`, items, somebody);
      await context.close();
    }
  }
} finally {
  await browser.close();
}

/** An account with clips of its own, unlisted so that no other view shows them. */
async function posted(clips, folder) {
  const account = await Account.register(base, 'ines');
  const file = join(folder, 'clip.mp4');
  const ids = [];
  for (const { id, title, description, tags } of clips) {
    const bytes = await (await fetch(new URL(`/api/v1/videos/${id}/download.mp4`, base))).arrayBuffer();
    await writeFile(file, Buffer.from(bytes));
    ids.push(await account.upload(file, { title, description, tags, visibility: 'unlisted' }));
  }
  await writeFile(file, 'A shopping list: bread, milk, light bulbs.');
  ids.push(await account.upload(file, { title: 'Shopping', visibility: 'private' }));
  for (const id of ids) await account.ended(id);
  return account;
}

async function photograph(page, kind, clips, { username, password }) {
  const shoot = async (name, path, arrived) => {
    if (path) await page.goto(new URL(path, base).href);
    await page.locator('h1').first().waitFor({ state: 'attached' });
    await arrived?.();
    await settled(page);
    const file = join(out, `${name}-${kind}.png`);
    await page.screenshot({ path: file });
    console.log(file);
  };
  const tag = clips.flatMap(({ tags }) => tags)[0];
  // The first visit goes on without the font; from the second on it is there.
  await page.goto(new URL('/signin', base).href);
  await page.evaluate(() => document.fonts.ready);
  await shoot('feed', '/', () => frame(page));
  await shoot('browse', '/browse', () => posters(page));
  if (clips[0]) {
    await shoot('watch', `/v/${clips[0].id}`, () => frame(page));
    await shoot('embed', `/embed/${clips[0].id}`);
  }
  if (tag) await shoot('tag', `/tag/${tag}`, () => posters(page));
  await shoot('nothing', '/nowhere');
  await shoot('signup', '/signup');
  await shoot('signin', '/signin');
  await page.getByLabel('Name or e-mail').fill(username);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(new URL('/', base).href);
  await shoot('upload', '/upload');
  await shoot('my', '/my', () => posters(page));
  await shoot('profile', '/me');
}

/** A list is there when its pictures are asked for. */
function posters(page) {
  return page.locator('main img').first().waitFor({ state: 'attached' });
}

/** A clip that plays is shown some way in, where there is something to see. */
async function frame(page) {
  const video = page.locator('video').first();
  await video.waitFor({ state: 'attached' });
  await video.evaluate(
    (element) =>
      new Promise((resolve) => {
        const look = () => (element.currentTime > 1.5 ? resolve() : setTimeout(look, 50));
        look();
        setTimeout(resolve, 10_000);
      }),
  );
}

/** All that is asked for is there, and nothing fades in any more. */
async function settled(page) {
  await page.evaluate(async () => {
    await document.fonts.ready;
    const pictures = [...document.images].filter((image) => image.loading !== 'lazy' || image.getBoundingClientRect().top < innerHeight);
    await Promise.all(pictures.map((image) => image.decode().catch(() => undefined)));
  });
  await page.mouse.move(0, 0);
}
