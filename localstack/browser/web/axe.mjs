// axe finds no violation of WCAG 2.2 AA on any page, light and dark, on a desktop and on a phone.
//
//   node axe.mjs BASE_URL CLIP FILE    (a clip, and a file that is refused)
import { readFile } from 'node:fs/promises';
import { assert, scenario } from './scenario.mjs';

const AXE = await readFile(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const SIZES = [
  { width: 1280, height: 800 },
  // As high as the pages are: what the bar at the bottom hides can be scrolled to, which axe does not know.
  { width: 360, height: 2400 },
];

await scenario(async (stage, [clip, refused]) => {
  const owner = await stage.account(`axel${process.pid}`);
  const id = await owner.upload(clip, { title: 'Looked at by axe', description: 'With words.', tags: ['one', 'two'] });
  const bad = await owner.upload(refused, { title: 'Refused' });
  await owner.ready(id);
  await owner.ended(bad);
  // A page about a clip that is not there asks for one.
  stage.forgive(/404/);
  const paths = ['/', '/browse', `/v/${id}`, `/embed/${id}`, '/upload', '/my', '/me', '/tag/one', '/tag/none', `/c/${owner.username}`];
  const looks = [];
  for (const colorScheme of ['light', 'dark']) {
    const stranger = await stage.person({ colorScheme });
    const member = await stage.person({ colorScheme });
    for (const path of ['/signin', '/signup', '/upload', '/my', '/me', '/nowhere', '/v/00000000000000000000000000000000']) {
      looks.push(await look(stranger, path, colorScheme));
    }
    await member.signIn(owner.username);
    for (const path of paths) looks.push(await look(member, path, colorScheme));
    looks.push(await atTheUpload(member, clip, colorScheme));
    looks.push(await inTheDialog(member, colorScheme));
    await Promise.all([stranger.context.close(), member.context.close()]);
  }
  const found = looks.filter(({ violations }) => violations.length > 0);
  assert.deepEqual(found, [], 'violations');
  return { looks: looks.length * SIZES.length, rules: looks[0].rules };
});

async function look(person, path, scheme) {
  await person.go(path);
  await person.page.locator('h1').waitFor({ state: 'attached' });
  await person.page.waitForLoadState('load');
  return judged(person, `${path} ${scheme}`);
}

async function judged(person, what) {
  const violations = [];
  let rules = 0;
  for (const size of SIZES) {
    await person.page.setViewportSize(size);
    // Nothing moves while it is looked at.
    await person.page.evaluate(() => Promise.allSettled(document.getAnimations().map((animation) => animation.effect?.getComputedTiming().iterations === Infinity ? null : animation.finished)));
    await person.page.evaluate(`${AXE};0`);
    const result = await person.page.evaluate((values) => globalThis.axe.run({ runOnly: { type: 'tag', values } }), TAGS);
    rules = result.passes.length;
    for (const { id, nodes } of result.violations) {
      for (const { target, failureSummary } of nodes) violations.push(`${size.width}: ${id} at ${target.join(' ')}: ${failureSummary}`);
    }
  }
  return { what, violations, rules };
}

async function atTheUpload(person, clip, scheme) {
  await person.page.setViewportSize(SIZES[0]);
  await person.go('/upload');
  await person.choose(clip);
  await person.phase('making', 'playable', 'ready');
  return judged(person, `an upload ${scheme}`);
}

async function inTheDialog(person, scheme) {
  await person.page.setViewportSize(SIZES[0]);
  await person.go('/my');
  await person.page.getByRole('button', { name: /^Edit/ }).first().click();
  await person.page.getByRole('dialog').waitFor();
  return judged(person, `the dialog ${scheme}`);
}
