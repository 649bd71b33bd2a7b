// A reload in the middle of a large upload: it goes on by itself, and what had arrived is not sent again. Then pause and
// resume, and a file that the browser could not keep is asked for again.
//
//   node resume.mjs BASE_URL CLIP    (above the threshold of multipart uploads: at least three parts)
import { readFile } from 'node:fs/promises';
import { assert, scenario, until } from './scenario.mjs';

const partOf = (url) => Number(new URL(url).searchParams.get('partNumber'));

await scenario(async (stage, [clip]) => {
  const person = await stage.person();
  const { page } = person;
  await person.signUp(`rita${process.pid}`);
  await person.follow('Upload');

  // All parts but the first are held back, as by a bad connection.
  const arrived = [];
  page.on('requestfinished', async (request) => {
    if (request.method() === 'PUT' && (await request.response())?.ok()) arrived.push(partOf(request.url()));
  });
  let held = true;
  const gate = (route) => (held && route.request().method() === 'PUT' && partOf(route.request().url()) !== 1 ? undefined : route.continue());
  await page.route('**/*partNumber=*', gate);
  await person.choose(clip);
  await until('the first part', () => arrived.includes(1));
  const card = await person.phase('sending');
  const id = await card.getAttribute('data-clip');

  // What waits goes on waiting, and ends with its page: taking the gate away would let it pass.
  held = false;
  arrived.length = 0;
  stage.forgive(/net::ERR_ABORTED/);
  await page.reload();
  await page.locator(`article[data-clip="${id}"]`).waitFor();
  await person.phase('playable', 'ready');
  await page.unroute('**/*partNumber=*', gate);
  const rest = [...arrived].sort((a, b) => a - b);
  assert(rest.length > 0 && !rest.includes(1), `sent after the reload: ${rest}`);
  assert.equal(new Set(rest).size, rest.length, 'no part twice');

  const paused = await pauseAndResume(person, clip);
  const asked = await askedForAgain(person, clip);
  return { id, rest, paused, asked };
});

async function pauseAndResume(person, clip) {
  const { page } = person;
  let held = true;
  const gate = async (route) => {
    if (held && route.request().method() === 'PUT' && partOf(route.request().url()) > 1) return;
    await route.continue().catch(() => undefined);
  };
  await page.route('**/*partNumber=*', gate);
  await person.choose(clip);
  const card = page.locator('article').first();
  await card.getByRole('button', { name: 'Pause' }).click();
  await page.locator('article[data-phase="paused"]').waitFor();
  held = false;
  await card.getByRole('button', { name: 'Resume' }).click();
  await until('the end of the upload', async () => /making|playable|ready/.test(await card.getAttribute('data-phase')));
  await page.unroute('**/*partNumber=*', gate);
  return true;
}

async function askedForAgain(person, clip) {
  const { page } = person;
  let held = true;
  const gate = (route) => (held && route.request().method() === 'PUT' ? undefined : route.continue());
  await page.route('**/*partNumber=*', gate);
  await person.choose(clip);
  const sending = await person.phase('sending');
  const id = await sending.getAttribute('data-clip');
  // As in a browser that had no room for the file.
  await person.when('what is remembered, without the file', forgetFiles);
  // As above: the gate stays, and what waits at it ends with its page.
  held = false;
  await page.reload();
  const card = page.locator(`article[data-clip="${id}"][data-phase="fileless"]`);
  await card.waitFor();
  const input = card.locator('input[type=file]');
  await input.setInputFiles({ name: 'other.mp4', mimeType: 'video/mp4', buffer: Buffer.from('something else') });
  await card.getByRole('alert').waitFor();
  await input.setInputFiles(clip);
  await until('the end of the upload', async () =>
    /making|playable|ready/.test(await page.locator(`article[data-clip="${id}"]`).getAttribute('data-phase')),
  );
  return (await readFile(clip)).length;
}

/** In the page: takes the files out of the database. False: nothing is kept yet. */
function forgetFiles() {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open('toktik');
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const store = opening.result.transaction('uploads', 'readwrite').objectStore('uploads');
      const reading = store.getAll();
      reading.onsuccess = () => {
        const withFile = reading.result.filter((entry) => entry.file);
        for (const { file, ...rest } of withFile) store.put(rest);
        store.transaction.oncomplete = () => {
          opening.result.close();
          resolve(withFile.length > 0);
        };
      };
    };
  });
}
