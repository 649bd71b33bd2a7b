// All uploads of this page. They go on while one looks at other views, and come back after a reload.
import { api, Problem, sentence, type NewClip, type Trouble, type Visibility } from '../../lib/api.js';
import { listen, type ClipNews, type Step } from '../../lib/events.svelte.js';
import { session } from '../../lib/session.svelte.js';
import { contentType, look, titleOf } from './check.js';
import { drop, keep, kept, type Remembered } from './memory.js';
import type { Sender } from './sender.js';

export type Phase =
  | 'looking'
  | 'refused'
  | 'asking'
  | 'sending'
  | 'paused'
  | 'stuck'
  | 'fileless'
  | 'making'
  | 'playable'
  | 'ready'
  | 'rejected';

export interface Details {
  title: string;
  description: string;
  tags: string[];
  visibility: Visibility;
}

export class Upload {
  phase = $state<Phase>('looking');
  id = $state('');
  sent = $state(0);
  size = $state(0);
  name = $state('');
  preview = $state('');
  width = $state(9);
  height = $state(16);
  duration = $state<number>();
  trouble = $state('');
  progress = $state(0);
  steps = $state<Step[]>([]);
  saved = $state<Details>({ title: '', description: '', tags: [], visibility: 'public' });
  file: File | undefined;
  request: NewClip | undefined;
  lastModified = 0;

  constructor(readonly key: string) {}

  get share(): number {
    return this.size === 0 ? 0 : this.sent / this.size;
  }
}

const LIVE: Phase[] = ['asking', 'sending', 'paused', 'stuck', 'making', 'playable'];

class Uploads {
  list = $state<Upload[]>([]);
  #sender: Promise<Sender> | undefined;
  #restoredFor = '';
  #listening: (() => void) | undefined;

  /** Takes files that somebody chose. */
  add(files: Iterable<File>): void {
    for (const file of files) {
      const upload = new Upload(crypto.randomUUID());
      this.list = [upload, ...this.list];
      // The one in the list is what views look at.
      void this.#begin(this.list[0] ?? upload, file);
    }
  }

  /** What a reload interrupted. */
  async restore(): Promise<void> {
    const user = session.user?.id;
    if (!user || this.#restoredFor === user) return;
    this.#restoredFor = user;
    for (const entry of await kept(user)) {
      if (!this.list.some(({ key }) => key === entry.key)) void this.#resume(entry);
    }
  }

  /** The same file again, for an upload whose file could not be kept. */
  giveBack(upload: Upload, file: File): void {
    if (file.size !== upload.size) {
      upload.trouble = `This is another file: ${upload.name} has ${upload.size} bytes, this one ${file.size}.`;
      return;
    }
    this.#show(upload, file);
    void this.#send(upload);
  }

  async pause(upload: Upload, paused: boolean): Promise<void> {
    upload.phase = paused ? 'paused' : 'sending';
    (await this.#sending()).pause(upload.id, paused);
  }

  retry(upload: Upload): void {
    if (upload.file) void this.#send(upload);
  }

  /** Stops it for good and takes it off the list. */
  async dismiss(upload: Upload): Promise<void> {
    this.list = this.list.filter(({ key }) => key !== upload.key);
    URL.revokeObjectURL(upload.preview);
    void drop(upload.key);
    this.#hear();
    const open: Phase[] = ['asking', 'sending', 'paused', 'stuck', 'fileless'];
    if (!upload.id || !open.includes(upload.phase)) return;
    (await this.#sending()).stop(upload.id);
    await api.abandon(upload.id).catch(() => undefined);
  }

  async save(upload: Upload, details: Details): Promise<void> {
    const clip = await api.change(upload.id, details);
    upload.saved = { title: clip.title, description: clip.description, tags: clip.tags, visibility: clip.visibility };
  }

  async #begin(upload: Upload, file: File): Promise<void> {
    this.#show(upload, file);
    const found = await look(file, upload.preview);
    upload.duration = found.duration;
    if (found.width && found.height) [upload.width, upload.height] = [found.width, found.height];
    if (found.refusal) {
      upload.phase = 'refused';
      upload.trouble = found.refusal;
      return;
    }
    upload.request = {
      title: titleOf(file.name),
      visibility: 'public',
      filename: file.name.slice(0, 255),
      size: file.size,
      content_type: contentType(file),
    };
    upload.saved = { ...upload.saved, title: upload.request.title };
    await this.#send(upload);
  }

  async #resume(entry: Remembered): Promise<void> {
    const upload = new Upload(entry.key);
    const { request } = entry;
    Object.assign(upload, { request, name: request.filename, size: request.size, lastModified: entry.lastModified });
    this.list = [...this.list, upload];
    const shown = this.list.find(({ key }) => key === entry.key) ?? upload;
    if (entry.file) this.#show(shown, entry.file);
    await this.#send(shown);
  }

  #show(upload: Upload, file: File): void {
    upload.file = file;
    upload.name = file.name;
    upload.size = file.size;
    upload.lastModified = file.lastModified;
    upload.trouble = '';
    if (!upload.preview) upload.preview = URL.createObjectURL(file);
  }

  /** Asks the server where to, or finds out how far it came, and sends what is missing. */
  async #send(upload: Upload): Promise<void> {
    const { request } = upload;
    if (!request) return;
    upload.phase = 'asking';
    upload.trouble = '';
    try {
      const { video, upload: target } = await api.begin(request, upload.key);
      upload.id = video.id;
      const clip = await api.clip(video.id);
      upload.saved = { title: clip.title, description: clip.description, tags: clip.tags, visibility: clip.visibility };
      this.#hear();
      if (clip.status !== 'uploading') {
        upload.sent = upload.size;
        return this.#tell(upload, { ...clip, steps: [] });
      }
      if (!upload.file) {
        upload.phase = 'fileless';
        return;
      }
      void keep({ key: upload.key, user: session.user?.id ?? '', request, lastModified: upload.lastModified, file: upload.file });
      const sender = await this.#sending();
      upload.phase = 'sending';
      sender.send({ id: video.id, file: upload.file, target });
    } catch (error) {
      this.#fail(upload, error);
    }
  }

  #fail(upload: Upload, error: unknown): void {
    const final = error instanceof Problem && [404, 409, 413, 422].includes(error.status);
    if (final) void drop(upload.key);
    upload.phase = final ? 'refused' : 'stuck';
    upload.trouble = error instanceof Problem ? sentence(error) : 'The connection was lost. What has arrived is kept.';
  }

  #sending(): Promise<Sender> {
    this.#sender ??= import('./sender.js').then(
      ({ Sender }) =>
        new Sender({
          progress: (id, sent) => this.#with(id, (upload) => (upload.sent = Math.max(upload.sent, sent))),
          sent: (id) => this.#with(id, (upload) => void this.#complete(upload)),
          failed: (id, error) => this.#with(id, (upload) => this.#fail(upload, error)),
        }),
    );
    return this.#sender;
  }

  async #complete(upload: Upload): Promise<void> {
    upload.sent = upload.size;
    try {
      await api.complete(upload.id);
      if (upload.phase === 'sending') upload.phase = 'making';
      // What happened between the request and the stream's first word.
      this.#tell(upload, { ...(await api.clip(upload.id)), steps: upload.steps });
    } catch (error) {
      this.#fail(upload, error);
    }
  }

  #with(id: string, work: (upload: Upload) => void): void {
    const upload = this.list.find((each) => each.id === id);
    if (upload) work(upload);
  }

  /** Listens while there is something to hear. */
  #hear(): void {
    const live = this.list.some(({ phase }) => LIVE.includes(phase));
    if (live && !this.#listening) {
      this.#listening = listen({ clip: (news) => this.#with(news.id, (upload) => this.#tell(upload, news)) });
    } else if (!live) {
      this.#listening?.();
      this.#listening = undefined;
    }
  }

  #tell(upload: Upload, news: Omit<ClipNews, 'error'> & { error?: Trouble }): void {
    upload.steps = news.steps.length > 0 ? news.steps : upload.steps;
    upload.progress = news.progress;
    const { status } = news;
    if (status === 'uploading') return;
    void drop(upload.key);
    if (status === 'processing') upload.phase = 'making';
    else if (status === 'playable' || status === 'ready') upload.phase = status;
    else {
      upload.phase = 'rejected';
      upload.trouble = news.error?.message ?? 'Something went wrong while the clip was made.';
    }
    this.#hear();
  }
}

export const uploads = new Uploads();

// Leaving in the middle is no loss where the file is kept, but it stops the sending.
addEventListener('beforeunload', (event) => {
  if (uploads.list.some(({ phase, file }) => phase === 'sending' && (file?.size ?? 0) > 512 * 1024 * 1024)) event.preventDefault();
});
