// The feed plays what is in view, and only that: muted until it is unmuted once, at most three video elements, the next
// clip's first segment there before it is wanted; keys and wheel move it.
//
//   node feed.mjs BASE_URL CLIP CLIP CLIP
import { assert, scenario, until } from './scenario.mjs';

await scenario(async (stage, clips) => {
  const owner = await stage.account(`otto${process.pid}`);
  const posted = [];
  for (let index = 0; index < 5; index += 1) posted.push(await owner.upload(clips[index % clips.length], { title: `Number ${index}` }));
  for (const id of posted) await owner.ready(id);
  // As they were published, the last one first.
  const { items } = await owner.call('GET', '/videos?limit=5');
  const [ids, titles] = [items.map(({ id }) => id), items.map(({ title }) => title)];
  const person = await stage.person();
  const { page } = person;
  const segments = [];
  page.on('request', (request) => {
    const match = /videos\/(\w+)\/.*\.m4s/.exec(new URL(request.url()).pathname);
    if (match) segments.push(match[1]);
  });
  await person.go('/');
  await playing(person, titles[0]);
  await until('the first segment of the next clip', () => segments.includes(ids[1]));
  assert(!segments.includes(ids[3]), 'clips further away are left alone');
  assert.equal((await state(person)).find(({ paused }) => !paused).muted, true, 'it begins muted');

  await page.keyboard.press('ArrowDown');
  await playing(person, titles[1]);
  await page.keyboard.press('j');
  await playing(person, titles[2]);
  await page.keyboard.press('k');
  await playing(person, titles[1]);
  await page.mouse.move(640, 400);
  await page.mouse.wheel(0, 600);
  await playing(person, titles[2]);

  await page.keyboard.press(' ');
  await until('a pause', async () => (await state(person)).every(({ paused }) => paused));
  await page.keyboard.press(' ');
  await playing(person, titles[2]);
  await page.keyboard.press('m');
  await until('sound', async () => (await state(person)).some(({ paused, muted }) => !paused && !muted));
  await page.keyboard.press('ArrowDown');
  await playing(person, titles[3]);
  assert.equal((await state(person)).find(({ paused }) => !paused).muted, false, 'unmuted once is enough');
  await page.keyboard.press('ArrowDown');
  await playing(person, titles[4]);
  const swiped = await swipe(stage, titles);
  return { ids, swiped };
});

function state({ page }) {
  return page.evaluate(() =>
    [...document.querySelectorAll('[role=feed] video')].map((video) => {
      const { paused, muted, currentTime: at } = video;
      return { title: video.closest('article').getAttribute('aria-label'), paused, muted, at };
    }),
  );
}

/** The clip in view plays, and no other; there are few video elements however long the feed is. */
async function playing(person, title) {
  await until(`${title} alone to play`, async () => {
    const videos = await state(person);
    assert(videos.length <= 3, `${videos.length} video elements`);
    const on = videos.filter(({ paused }) => !paused);
    return on.length === 1 && on[0].title === title && on[0].at > 0;
  });
  const inView = await person.page.evaluate(() => document.elementFromPoint(innerWidth / 2, innerHeight / 2).closest('article')?.getAttribute('aria-label'));
  assert.equal(inView, title, 'what plays is what is in view');
}

/** A finger moves it on. */
async function swipe(stage, titles) {
  const person = await stage.person({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await person.go('/');
  await playing(person, titles[0]);
  const devtools = await person.context.newCDPSession(person.page);
  const touch = (type, ...touchPoints) => devtools.send('Input.dispatchTouchEvent', { type, touchPoints });
  await touch('touchStart', { x: 195, y: 650 });
  for (let y = 615; y >= 160; y -= 35) await touch('touchMove', { x: 195, y });
  await touch('touchEnd');
  await playing(person, titles[1]);
  return true;
}
