// An HTML file that became a clip's bytes by trickery, and names that are markup: nothing of it runs on any page.
//
//   node hostile.mjs BASE_URL CLIP
import { appendFile, copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assert, scenario } from './scenario.mjs';

const MARKUP = '"><script>globalThis.ran=1</script><img src=x onerror=globalThis.ran=1>';

await scenario(async (stage, [clip]) => {
  const folder = await mkdtemp(join(tmpdir(), 'hostile-'));
  try {
    const file = join(folder, 'both.mp4');
    await copyFile(clip, file);
    // Bytes after the end: still a clip for a player, a page for who looks for tags.
    await appendFile(file, `<html><body><script>globalThis.ran=1</script></body></html>`);
    const mallory = await stage.account(`mallory${process.pid}`);
    const id = await mallory.upload(file, { title: MARKUP, description: MARKUP, tags: ['fine'] });
    await mallory.ready(id);

    const person = await stage.person();
    // Markup is no tag, and the API says so.
    stage.forgive(/422/);
    await person.signIn(mallory.username);
    for (const path of [`/v/${id}`, `/embed/${id}`, '/', '/browse', '/my', `/c/${mallory.username}`, `/tag/${encodeURIComponent(MARKUP)}`]) {
      await person.go(path);
      await person.page.getByText(/onerror/).first().or(person.page.locator('h1')).first().waitFor({ state: 'attached' });
      assert.equal(await person.page.evaluate(() => globalThis.ran), undefined, `it ran at ${path}`);
    }
    for (const name of ['poster.jpg', 'download.mp4', 'storyboard.vtt', 'playlist.m3u8']) {
      const answer = await person.context.request.get(new URL(`/api/v1/videos/${id}/${name}`, stage.base).href);
      assert.equal(answer.headers()['x-content-type-options'], 'nosniff', name);
      assert.doesNotMatch(answer.headers()['content-type'], /html/, name);
    }
    return { id };
  } finally {
    await rm(folder, { recursive: true });
  }
});
