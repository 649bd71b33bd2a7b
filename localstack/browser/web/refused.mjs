// A file that is no clip: the person reads why, in a sentence, at the upload and in the list; and an HTML file that is called
// a video is refused too, and never runs, wherever its bytes are asked for.
//
//   node refused.mjs BASE_URL FILE    (only sound, in a container of videos)
import { readFile } from 'node:fs/promises';
import { assert, scenario } from './scenario.mjs';

const HTML = '<!doctype html><title>x</title><body><script>globalThis.ran = true; document.title = "ran"; fetch("/api/v1/me?ran")</script><img src=x onerror="globalThis.ran=true">';
const NAME = '<img src=x onerror=globalThis.ran=true>';

await scenario(async (stage, [file]) => {
  const person = await stage.person();
  const { page } = person;
  const username = `eve${process.pid}`;
  await person.signUp(username);
  await person.follow('Upload');
  const bytes = await readFile(file);
  await person.choose({ name: 'hum.mp4', mimeType: 'video/mp4', buffer: bytes });
  const card = await person.phase('rejected');
  const told = await card.getByRole('alert').innerText();
  assert.match(told, /^[A-Z].{15,}\.$/, 'a sentence for people');
  await person.follow('My clips');
  await page.locator('tr[data-clip]').getByText(told).waitFor();

  await person.follow('Upload');
  const sent = page.waitForRequest((request) => request.method() === 'PUT' && !request.url().includes('/api/'));
  await person.choose({ name: `${NAME}.mp4`, mimeType: 'video/mp4', buffer: Buffer.from(HTML) });
  const stored = (await sent).url();
  await page.locator('article[data-phase="rejected"]').nth(1).waitFor();
  const html = await page.locator('article[data-phase="rejected"]').first().getByRole('alert').innerText();
  assert.equal(await page.evaluate(() => globalThis.ran), undefined, 'a name is text');

  // Whatever is asked of the store, it answers with a policy under which nothing runs.
  // Chromium shows an error of the store as a document of its own making, styles and scripts included, and says that they are kept out.
  stage.forgive(/Failed to load resource.*40[34]/);
  stage.forgive(/^console: (Applying inline style violates .*'default-src 'none''|Blocked script execution in .* is sandboxed)/);
  for (const url of [stored, stored.split('?')[0]]) {
    const answer = await page.goto(url);
    assert.match(answer.headers()['content-security-policy'] ?? '', /sandbox/, url);
    assert.equal(answer.headers()['x-content-type-options'], 'nosniff');
    assert.equal(await page.evaluate(() => globalThis.ran), undefined, 'it ran');
  }
  return { told, html };
});
