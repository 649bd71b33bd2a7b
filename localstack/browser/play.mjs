#!/usr/bin/env node
// Plays an HLS playlist to its end in headless Chromium, as a viewer's browser would: hls.js in a page of another origin.
//
//   node play.mjs PLAYLIST_URL|- [--native] [--rate N]
//
// With `-` the browser is opened first: a line `open` on stdout says so, and the address is read from stdin. So a clip can be
// played the moment that it is there.
//
// One line of JSON on stdout tells what was played: {ended, duration, currentTime, decodedFrames, droppedFrames, width,
// height, levels, growing, played, seconds, stalls, dry, holes, warnings, rate}, and `error` when it failed. `growing`: whether
// more was to come when the first playlist was read. `stalls`: how often the picture stood still; `dry`: where it did, also by
// hls.js' own watch, because nothing more had arrived. Exit 0: played to the end without a fatal hls.js error, a piece that
// hls.js skipped, a media error or a console error. Exit 1: anything else, 90 seconds without an end included.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { launch } from './chromium.mjs';

const DEADLINE_MS = 90_000;

const FILES = {
  '/': { file: 'play.html', type: 'text/html; charset=utf-8' },
  '/hls.mjs': { file: 'node_modules/hls.js/dist/hls.mjs', type: 'text/javascript' },
};

function arguments_() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      native: { type: 'boolean', default: false },
      // At 4x a minute's clip takes 15 s. Every frame is still decoded; the screen's 60 Hz then drops some, so that
      // `droppedFrames` means something only at --rate 1.
      rate: { type: 'string', default: '4' },
    },
  });
  const rate = Number(values.rate);
  if (positionals.length !== 1) throw new Error('usage: play.mjs PLAYLIST_URL|- [--native] [--rate N]');
  if (!(rate > 0 && rate <= 16)) throw new Error(`--rate ${values.rate}: a number above 0, at most 16`);
  const [address] = positionals;
  return { url: address === '-' ? told : async () => new URL(address).href, native: values.native, rate };
}

/** The address, from somebody who waits until everything is open. */
async function told() {
  console.log('open');
  const lines = createInterface({ input: process.stdin });
  for await (const line of lines) return new URL(line).href;
  throw new Error('no address on stdin');
}

async function servePage() {
  const server = createServer(async (request, response) => {
    const known = FILES[new URL(request.url, 'http://page').pathname];
    if (!known) return response.writeHead(404).end();
    const body = await readFile(new URL(known.file, import.meta.url));
    response.writeHead(200, { 'content-type': known.type }).end(body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

/** Resolves never; rejects with the first thing that went wrong outside of the player. */
function watch(page, browser) {
  return new Promise((_, reject) => {
    page.on('console', (message) => {
      if (message.type() !== 'error') return;
      const { url } = message.location();
      reject(new Error(`console: ${message.text()}${url ? ` (${url})` : ''}`));
    });
    page.on('pageerror', (error) => reject(new Error(`page: ${error.message}`)));
    page.on('crash', () => reject(new Error('the page crashed')));
    browser.on('disconnected', () => reject(new Error('the browser ended')));
  });
}

function deadline() {
  return new Promise((_, reject) => {
    const timer = setTimeout(() => reject(new Error(`no end after ${DEADLINE_MS / 1000} s`)), DEADLINE_MS);
    timer.unref();
  });
}

/** What the player had reached when it failed; a page that does not answer any more has nothing to tell. */
async function lastState(page) {
  const patience = new Promise((resolve) => setTimeout(resolve, 2_000, {}).unref());
  const state = page?.evaluate(() => window.state?.() ?? {}).catch(() => ({}));
  return Promise.race([state ?? {}, patience]);
}

async function play({ url, native, rate }, opened) {
  opened.server = await servePage();
  opened.browser = await launch();
  opened.page = await opened.browser.newPage();
  const trouble = watch(opened.page, opened.browser);
  // Handled by the race below; a rejection before that must not end the process.
  trouble.catch(() => {});
  await opened.page.goto(`http://127.0.0.1:${opened.server.address().port}/`, { waitUntil: 'load' });
  const link = await url();
  const played = opened.page.evaluate(([link, options]) => window.play(link, options), [link, { native, rate }]);
  return Promise.race([played, trouble]);
}

async function close({ browser, server }) {
  const patience = new Promise((resolve) => setTimeout(resolve, 5_000).unref());
  await Promise.race([browser?.close().catch(() => {}), patience]);
  server?.close();
}

async function main() {
  const options = arguments_();
  const opened = {};
  try {
    const result = await Promise.race([play(options, opened), deadline()]);
    console.log(JSON.stringify({ ...result, rate: options.rate }));
  } catch (error) {
    const message = error.message.split('\n')[0].replace('page.evaluate: Error: ', '');
    console.error(message);
    console.log(JSON.stringify({ ended: false, ...(await lastState(opened.page)), rate: options.rate, error: message }));
    process.exitCode = 1;
  } finally {
    await close(opened);
  }
}

main()
  .catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  })
  // A browser that does not let go must not keep the test waiting; stdout may be a pipe that is still being written.
  .finally(() => process.stdout.write('', () => process.exit()));
