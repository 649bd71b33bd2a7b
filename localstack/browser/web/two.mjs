// Two browsers at the same clip: one likes it, the other sees the count change, without a reload; views alike.
//
//   node two.mjs BASE_URL CLIP
import { assert, scenario, until } from './scenario.mjs';

await scenario(async (stage, [clip]) => {
  const owner = await stage.account(`nell${process.pid}`);
  const id = await owner.upload(clip, { title: 'Seen by two' });
  await owner.ready(id);
  const [ann, bob] = [await stage.person(), await stage.person()];
  await ann.signUp(`ann${process.pid}`);
  await bob.go(`/v/${id}`);
  await bob.page.getByRole('button', { name: 'Like, 0 likes' }).waitFor();
  await bob.page.evaluate(() => (globalThis.stayed = true));
  await ann.go(`/v/${id}`);
  const began = Date.now();
  await ann.page.getByRole('button', { name: 'Like, 0 likes' }).click();
  await bob.page.getByRole('button', { name: 'Like, 1 like' }).waitFor();
  const seconds = (Date.now() - began) / 1000;
  await ann.page.getByRole('button', { name: 'Like, 1 like' }).click();
  await bob.page.getByRole('button', { name: 'Like, 0 likes' }).waitFor();
  await until('a view that is seen', async () => /[1-9]/.test(await bob.page.locator('.views').innerText()));
  assert.equal(await bob.page.evaluate(() => globalThis.stayed), true);
  // Who is not signed in is asked to, and comes back.
  await bob.page.getByRole('button', { name: /^Like,/ }).click();
  await bob.page.waitForURL('**/signin?next=*');
  return { id, seconds };
});
