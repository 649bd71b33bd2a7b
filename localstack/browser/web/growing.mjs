// A clip that is still being made plays from its start, and gains its qualities once it is ready without losing its place.
//
//   node growing.mjs BASE_URL CLIP    (a few seconds long, of several qualities)
//
// How long a clip is only playable depends on the machine, so the moment is held: the browser is told of a ready clip what it
// was told before, a growing playlist of one quality without its last segments, until the scenario lets go.
import { assert, scenario, until } from './scenario.mjs';

await scenario(async (stage, [clip]) => {
  const owner = await stage.account(`gwen${process.pid}`);
  const id = await owner.upload(clip, { title: 'Growing' });
  const whole = await owner.ready(id);
  assert(whole.renditions.length > 1, 'the clip has one quality only: nothing can be gained');

  const person = await stage.person();
  const { page } = person;
  const held = { until: 'ready' };
  await hold(page, id, held);
  await person.go(`/v/${id}`);
  await page.evaluate(() => (globalThis.stayed = true));
  await person.playerIs('plays', (video) => !video.paused && video.currentTime > 0);
  const began = (await person.player()).currentTime;
  assert(began < 2, `it began at ${began}, not at its start`);
  const qualities = () => page.locator('media-controller video').evaluate((video) => video.videoRenditions.length);
  assert.equal(await qualities(), 1);
  await person.playerIs('is some way in', (video) => video.currentTime > 1);
  await page.locator('media-controller video').evaluate(watchItsClock);

  held.until = null;
  await until('all qualities', async () => (await qualities()) === whole.renditions.length);
  await person.playerIs('shows a picture again', (video) => video.readyState >= 2 && !video.seeking);
  const at = (await person.player()).currentTime;
  assert(at > 0.9, `it went back to ${at}`);
  await person.playerIs('is at its end', (video) => video.ended);
  const { duration, currentTime } = await person.player();
  assert(Math.abs(duration - whole.duration) < 0.3 && duration - currentTime < 0.2, `${currentTime} of ${duration}, not ${whole.duration}`);
  const { back, on } = await page.evaluate(() => globalThis.jumps);
  assert(back > -0.3, `it jumped back by ${-back} s`);
  assert(on < 1, `it jumped on by ${on} s`);
  assert.equal(await page.evaluate(() => globalThis.stayed), true, 'the page was loaded again');
  return { before: 1, after: whole.renditions.length, at, back, on };
});

/** In the page: how far what is seen of a video ever jumps between two looks; an element without a picture shows none. */
function watchItsClock(video) {
  globalThis.jumps = { back: 0, on: 0 };
  let [last, then] = [video.currentTime, performance.now()];
  const look = () => {
    const [now, clock] = [performance.now(), video.currentTime];
    requestAnimationFrame(look);
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || video.seeking) return;
    const step = clock - last;
    globalThis.jumps.back = Math.min(globalThis.jumps.back, step);
    globalThis.jumps.on = Math.max(globalThis.jumps.on, step - (now - then) / 1000);
    [last, then] = [clock, now];
  };
  requestAnimationFrame(look);
}

/** Keeps the clip as it was: playable, with one quality, its end not known. */
async function hold(page, id, held) {
  const api = `**/api/v1/videos/${id}`;
  await page.route(api, async (route) => {
    const response = await route.fetch();
    const clip = await response.json();
    const [lowest] = clip.renditions.slice(-1);
    await route.fulfill({ response, json: held.until ? { ...clip, status: 'playable', renditions: [lowest] } : clip });
  });
  await page.route(`${api}/playlist.m3u8`, (route) => rewritten(route, held, oneQuality));
  await page.route(`${api}/playlists/*.m3u8`, (route) => rewritten(route, held, grown));
  await page.route('**/api/v1/events**', (route) => {
    const status = held.until ? 'playable' : 'ready';
    const body = `retry: 200\nevent: status\ndata: ${JSON.stringify({ id, status })}\n\n`;
    return route.fulfill({ status: 200, contentType: 'text/event-stream', body });
  });
}

async function rewritten(route, held, change) {
  const response = await route.fetch();
  const text = await response.text();
  await route.fulfill({ response, body: held.until ? change(text) : text });
}

/** The multivariant playlist with its least demanding variant alone. */
function oneQuality(text) {
  const lines = text.split('\n');
  const variants = lines.flatMap((line, index) => (line.startsWith('#EXT-X-STREAM-INF') ? [index] : []));
  const bandwidth = (index) => Number(/[:,]BANDWIDTH=(\d+)/.exec(lines[index])[1]);
  const lowest = variants.sort((a, b) => bandwidth(a) - bandwidth(b))[0];
  const dropped = new Set(variants.filter((index) => index !== lowest).flatMap((index) => [index, index + 1]));
  const start = '#EXT-X-START:TIME-OFFSET=0,PRECISE=YES';
  return lines
    .filter((line, index) => !dropped.has(index) && !line.startsWith('#EXT-X-I-FRAME-STREAM-INF'))
    .map((line) => (line === '#EXTM3U' ? `${line}\n${start}` : line))
    .join('\n');
}

/** A media playlist that is not at its end yet. */
function grown(text) {
  return text.replace('#EXT-X-PLAYLIST-TYPE:VOD', '#EXT-X-PLAYLIST-TYPE:EVENT').replace(/#EXTINF[^#]*(#EXT-X-ENDLIST\s*)$/, '');
}
