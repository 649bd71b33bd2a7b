// Speaks to a house's API for scenarios: accounts and clips that are there before a browser comes.
import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';

/** Asks until the answer is what is waited for; nothing tells a script like this when it has come. */
export async function until(what, ask, deadlineMs = 90_000, pauseMs = 250) {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${deadlineMs / 1000} s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

export class Account {
  constructor(base, username, password, token) {
    Object.assign(this, { base, username, password, token });
  }

  static async register(base, username, password = 'correct horse 7') {
    const body = { username, email: `${username}@example.com`, password };
    await request(base, 'POST', '/auth/register', { body });
    const { access_token: token } = await request(base, 'POST', '/auth/login', { body: { username, password } });
    return new Account(base, username, password, token);
  }

  call(method, path, body) {
    return request(this.base, method, path, { body, token: this.token });
  }

  /** Uploads a file; resolves when its bytes are there. */
  async upload(path, { title, description, tags, visibility } = {}) {
    const { size } = await stat(path);
    const filename = basename(path);
    const wanted = { title: title ?? filename, description, tags, visibility, filename, size, content_type: 'video/mp4' };
    const { video, upload } = await this.call('POST', '/videos', wanted);
    const bytes = await readFile(path);
    if (upload.kind === 'put') await put(upload, bytes);
    else await this.#parts(video.id, upload, bytes);
    await this.call('POST', `/videos/${video.id}/upload/complete`, {});
    return video.id;
  }

  async #parts(id, { part_size: size, part_count: count }, bytes) {
    for (let number = 1; number <= count; number += 1) {
      const { parts } = await this.call('POST', `/videos/${id}/upload/parts`, { part_numbers: [number] });
      await put(parts[0], bytes.subarray((number - 1) * size, number * size));
    }
  }

  /** Resolves when nothing more is to be done for the clip. */
  ended(id) {
    return until(`the end of ${id}`, async () => {
      const clip = await this.call('GET', `/videos/${id}`);
      return ['ready', 'rejected', 'failed'].includes(clip.status) ? clip : null;
    });
  }

  async ready(id) {
    const clip = await this.ended(id);
    if (clip.status !== 'ready') throw new Error(`${id} is ${clip.status}: ${JSON.stringify(clip.error)}`);
    return clip;
  }
}

async function put({ url, headers }, body) {
  const response = await fetch(url, { method: 'PUT', headers, body });
  if (!response.ok) throw new Error(`PUT ${new URL(url).pathname}: ${response.status} ${await response.text()}`);
}

async function request(base, method, path, { body, token } = {}) {
  const headers = { ...(body && { 'content-type': 'application/json' }), ...(token && { authorization: `Bearer ${token}` }) };
  const response = await fetch(new URL(`/api/v1${path}`, base), { method, headers, body: body && JSON.stringify(body) });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.status === 204 ? null : response.json();
}
