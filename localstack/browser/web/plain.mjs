// Without JavaScript: a clip's page shows its poster and a native player of the MP4, which can be played.
//
//   node plain.mjs BASE_URL CLIP
import { assert, scenario, until } from './scenario.mjs';

await scenario(async (stage, [clip]) => {
  const owner = await stage.account(`paul${process.pid}`);
  const id = await owner.upload(clip, { title: 'No script needed' });
  await owner.ready(id);
  const person = await stage.person({ javaScriptEnabled: false });
  const seen = {};
  for (const path of [`/v/${id}`, `/embed/${id}`]) {
    const answer = await person.go(path);
    assert.equal(answer.status(), 200);
    const video = person.page.locator('video');
    assert(await video.isVisible());
    assert.match(await video.getAttribute('poster'), /poster/);
    await until('the MP4 to be read', () => video.evaluate((element) => element.readyState >= 1 && element.videoWidth > 0));
    await video.evaluate((element) => {
      element.muted = true;
      return element.play();
    });
    await until('it to play', () => video.evaluate((element) => element.currentTime > 0.2));
    seen[path.split('/')[1]] = await video.evaluate((element) => element.videoHeight);
  }
  return seen;
});
