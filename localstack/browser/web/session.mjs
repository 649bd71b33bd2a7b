// A session outlives its access cookie without anybody noticing, in two tabs at once; signing out ends it in both.
//
//   node session.mjs BASE_URL
import { assert, scenario, until } from './scenario.mjs';

await scenario(async (stage) => {
  const person = await stage.person();
  await person.signUp(`sid${process.pid}`);
  const other = await person.context.newPage();
  stage.watch(other);
  const heading = (page) => page.getByRole('heading', { name: 'No clips yet' });
  // With its stream, too: what is still to be asked for would be refused once the cookie is gone.
  const arrive = async (page, going) => {
    const stream = page.waitForResponse(/\/api\/v1\/events$/);
    await going();
    await Promise.all([heading(page).waitFor(), stream]);
  };
  const visit = (page) => arrive(page, () => page.goto(new URL('/my', stage.base).href));
  await visit(other);
  await visit(person.page);

  const refreshes = [];
  person.context.on('request', (request) => {
    if (request.url().endsWith('/auth/refresh')) refreshes.push(request);
  });
  // As if fifteen minutes had passed: the cookie is gone, and pages know that it ran out.
  const runOut = async (...pages) => {
    await person.context.clearCookies({ name: 'toktik_access' });
    await pages[0].evaluate(() => {
      const known = JSON.parse(localStorage.getItem('toktik.session'));
      localStorage.setItem('toktik.session', JSON.stringify({ ...known, until: Date.now() - 1000 }));
    });
    const heard = (page) => page.evaluate(() => JSON.parse(localStorage.getItem('toktik.session')).until < Date.now());
    for (const page of pages) await until('what a page knows', () => heard(page), 60_000, 30);
  };
  await runOut(person.page, other);
  await Promise.all([person.page, other].map((page) => arrive(page, () => page.reload())));
  // A token used twice would end the session.
  assert.equal(refreshes.length, 1, 'one page renews, the other takes what it was given');

  // A page that was left while its renewal was under way: the next one takes what the first had asked for.
  await other.goto('about:blank');
  await runOut(person.page);
  await person.page.evaluate(() => {
    const [, from] = /toktik_renewed=(\d+)/.exec(document.cookie);
    localStorage.setItem('toktik.session.renewing', JSON.stringify({ from, at: Date.now() }));
  });
  await arrive(person.page, async () => {
    await person.page.reload({ waitUntil: 'domcontentloaded' });
    const renewed = await person.context.request.post(new URL('/api/v1/auth/refresh', stage.base).href, {
      headers: { origin: new URL(stage.base).origin },
    });
    assert.equal(renewed.status(), 200);
  });
  assert.equal(refreshes.length, 1, 'the token is not used twice');
  await visit(other);
  const again = await heardAgain(stage, person.page);
  assert(refreshes.length > 1, 'renewed for the stream that was refused');

  const kept = await person.page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie);
  assert.doesNotMatch(kept, /eyJ|tkr_/, 'no token is within reach of scripts');

  await person.follow(`sid${process.pid}`);
  await person.button('Sign out').click();
  await person.page.waitForURL(new URL('/', stage.base).href);
  await other.getByRole('link', { name: 'Sign in' }).first().waitFor();
  const cookies = await person.context.cookies();
  assert.deepEqual(cookies.filter(({ name }) => name.startsWith('toktik_')), [], 'cookies are taken away');
  // Wrong credentials are told in words.
  stage.forgive(/401/);
  await person.go('/signin');
  await person.page.getByLabel('Name or e-mail').fill('nobody');
  await person.page.getByLabel('Password').fill('wrong wrong wrong');
  await person.button('Sign in').click();
  return { again, told: await person.page.getByRole('alert').innerText() };
});

/** A cookie that held for less long than was said: the stream is refused, and asked for again with another one. */
async function heardAgain(stage, page) {
  stage.forgive(/401.*\/api\/v1\/events\)/);
  const answers = [];
  await page.route('**/api/v1/events', (route) =>
    answers.length === 0 ? route.fulfill({ status: 401 }) : route.continue(),
  );
  page.on('response', (response) => {
    if (response.url().endsWith('/api/v1/events')) answers.push(response.status());
  });
  await page.reload();
  await until('the stream after its refusal', () => answers.length >= 2);
  assert.deepEqual(answers, [401, 200]);
  return answers;
}
