// A clip that is still being made plays from its start, and gains its qualities once it is ready without losing its place.
//
//   node growing.mjs BASE_URL CLIP    (long and large enough to be playable well before it is ready)
import { assert, scenario, until } from './scenario.mjs';

await scenario(async (stage, [clip]) => {
  const owner = await stage.account(`gwen${process.pid}`);
  const person = await stage.person();
  const { page } = person;
  const id = await owner.upload(clip, { title: 'Growing' });
  const first = await until('a clip that can be played', async () => {
    const shown = await owner.call('GET', `/videos/${id}`);
    return ['playable', 'ready'].includes(shown.status) ? shown : null;
  });
  assert.equal(first.status, 'playable', 'the clip was ready at once: it is too small for this');

  await person.go(`/v/${id}`);
  await page.evaluate(() => (globalThis.stayed = true));
  await person.playerIs('plays', (video) => !video.paused && video.currentTime > 0);
  const began = await person.player();
  assert(began.currentTime < 5, `it began at ${began.currentTime}, not at its start`);
  const qualities = () => page.locator('media-controller video').evaluate((video) => video.videoRenditions.length);
  const before = await qualities();
  // From now on each step of its clock is looked at.
  await page.locator('media-controller video').evaluate((video) => {
    globalThis.steps = [];
    let last = video.currentTime;
    setInterval(() => {
      globalThis.steps.push(video.currentTime - last);
      last = video.currentTime;
    }, 100);
  });
  const whole = await owner.ready(id);
  // How many there are at first is for the plan to say: where units are ranges of time, all of them.
  assert(whole.renditions.length >= before, `${before} qualities before, ${whole.renditions.length} after`);
  await until('all qualities', async () => (await qualities()) === whole.renditions.length);
  const at = (await person.player()).currentTime;
  await person.playerIs('goes on', (video, from) => video.ended || video.currentTime > from + 1, at);
  const steps = await page.evaluate(() => globalThis.steps);
  assert(Math.min(...steps) > -0.3, `it jumped back by ${-Math.min(...steps)} s`);
  assert(Math.max(...steps) < 2, `it jumped on by ${Math.max(...steps)} s`);
  assert.equal(await page.evaluate(() => globalThis.stayed), true, 'the page was loaded again');
  return { before, after: whole.renditions.length, began: began.currentTime, at };
});
