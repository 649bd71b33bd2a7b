// From signing up to deleting the clip again: sign up, upload, watch it become playable without a reload, play it to the end,
// seek, change quality, like, edit, delete and undo, delete.
//
//   node journey.mjs BASE_URL CLIP    (a few seconds long, with sound, of at least 480 lines, so that there are qualities)
import { assert, scenario, until } from './scenario.mjs';

await scenario(async (stage, [clip]) => {
  const ada = await stage.person();
  const { page } = ada;
  await ada.signUp(`ada${process.pid}`);
  await ada.follow('Upload');
  await page.waitForURL('**/upload');
  // A reload would lose this.
  await page.evaluate(() => (globalThis.stayed = true));
  await ada.choose(clip);
  await ada.phase('sending', 'making', 'playable', 'ready');
  await page.getByLabel('Title').fill('A clip of mine');
  await page.getByLabel('Tags').fill('first, #mine');
  await ada.button('Save').click();
  await page.getByText('Saved.', { exact: true }).waitFor();
  const card = await ada.phase('playable', 'ready');
  const id = await card.getAttribute('data-clip');
  await ada.phase('ready');
  assert.equal(await page.evaluate(() => globalThis.stayed), true, 'the page was loaded again');

  await card.getByRole('link', { name: 'Watch it' }).click();
  await page.waitForURL(`**/v/${id}`);
  await page.getByRole('heading', { level: 1, name: 'A clip of mine' }).waitFor();
  const played = await playToTheEnd(ada);
  const sought = await seek(ada);
  const quality = await chooseQuality(ada);
  const likes = await like(ada);
  await download(ada, id);

  // Chromium tells of the answer to an empty title, which is wanted.
  stage.forgive(/422/);
  await ada.follow('My clips');
  const row = page.locator(`tr[data-clip="${id}"]`);
  await edit(ada, row);
  await remove(ada, row, id);
  return { id, played, sought, quality, likes };
});

/** Every frame is decoded, and after it began the player never had to wait for more. */
async function playToTheEnd(person) {
  const video = person.page.locator('media-controller video');
  await person.playerIs('plays', (video) => video.currentTime > 0 && !video.paused);
  await video.evaluate((element) => {
    globalThis.stalls = 0;
    const ahead = () => {
      const ranges = [...Array(element.buffered.length).keys()].map((index) => element.buffered.end(index) - element.currentTime);
      return Math.max(0, ...ranges);
    };
    // A busy machine may decode late; a stall is when there is nothing to decode.
    element.addEventListener('waiting', () => {
      if (!element.seeking && !element.ended && ahead() < 0.25) globalThis.stalls += 1;
    });
  });
  await person.playerIs('is at the end', (video) => video.ended);
  const { frames, dropped, duration, currentTime } = await person.player();
  const stalls = await person.page.evaluate(() => globalThis.stalls);
  assert.equal(stalls, 0, 'it had to wait in the middle');
  assert(duration - currentTime < 0.1, `it ended at ${currentTime} of ${duration}`);
  assert(frames >= (duration - 0.5) * 20, `${frames} frames in ${duration} s`);
  return { frames, dropped, duration, stalls };
}

/** Keys move it, and it goes on from there. */
async function seek(person) {
  const { page } = person;
  const { duration } = await person.player();
  const range = page.locator('media-time-range');
  const { x, y, width, height } = await range.boundingBox();
  await page.mouse.move(x + width / 3, y + height / 2);
  const preview = page.locator('media-preview-thumbnail');
  await until('a picture for scrubbing', () => preview.getAttribute('mediapreviewimage'));
  await preview.locator('img').waitFor();
  await page.mouse.click(x + width / 2, y + height / 2);
  await person.playerIs('is in the middle', (video, wanted) => !video.seeking && Math.abs(video.currentTime - wanted) < wanted / 4, duration / 2);
  const before = await person.player();
  if (before.paused) await page.locator('media-play-button').click();
  await person.playerIs('goes on', (video, from) => video.currentTime > from + 0.3, before.currentTime);
  return before.currentTime;
}

async function chooseQuality(person) {
  const { page } = person;
  await page.locator('media-settings-menu-button').click();
  await page.locator('media-settings-menu-item', { hasText: 'Quality' }).click();
  const items = page.locator('media-rendition-menu').getByRole('menuitemradio');
  const names = await items.allInnerTexts();
  assert(names.length >= 3, `there is a choice: ${names}`);
  const lowest = names.map((name) => Number.parseInt(name, 10)).filter(Boolean).sort((a, b) => a - b)[0];
  await page.locator('media-rendition-menu').getByRole('menuitemradio', { name: `${lowest}p` }).first().click();
  // The lowest quality is what comes from now on.
  await page.locator('media-controller video').evaluate((video) => {
    video.currentTime = 0;
    return video.play();
  });
  await person.playerIs('shows the lowest quality', (video, lines) => Math.min(video.videoWidth, video.videoHeight) === lines && !video.paused, lowest);
  return { names: names.map((name) => name.trim()), chosen: lowest };
}

async function like(person) {
  const button = person.page.getByRole('button', { name: /^Like,/ });
  await button.click();
  await person.page.getByRole('button', { name: 'Like, 1 like' }).waitFor();
  assert.equal(await button.getAttribute('aria-pressed'), 'true');
  return 1;
}

async function download(person, id) {
  const [file] = await Promise.all([
    person.page.waitForEvent('download'),
    person.page.getByRole('link', { name: 'MP4' }).click(),
  ]);
  assert.match(file.suggestedFilename(), /\.mp4$/, `${id} as a file`);
}

async function edit(person, row) {
  await row.getByRole('button', { name: /^Edit/ }).click();
  const dialog = person.page.getByRole('dialog');
  await dialog.getByLabel('Title').fill('');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.getByText(/^Title /).waitFor();
  await dialog.getByLabel('Title').fill('Another name');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await row.getByRole('link', { name: 'Another name' }).waitFor();
}

async function remove(person, row, id) {
  const { page } = person;
  await row.getByRole('button', { name: /^Delete/ }).click();
  await row.waitFor({ state: 'detached' });
  await person.button('Undo').click();
  await row.waitFor();
  await row.getByRole('button', { name: /^Delete/ }).click();
  await Promise.all([
    page.waitForResponse((response) => response.request().method() === 'DELETE' && response.url().endsWith(id) && response.status() === 204),
    row.waitFor({ state: 'detached' }),
  ]);
}
