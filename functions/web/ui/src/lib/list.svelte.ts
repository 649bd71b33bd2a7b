// A list that goes on: its pages, and how the next one is doing.
import { sentence, type Clip, type Page } from './api.js';
import { remember } from './clips.svelte.js';

export class ClipList {
  items = $state<Clip[]>([]);
  state = $state<'loading' | 'idle' | 'failed'>('loading');
  trouble = $state('');
  done = $state(false);
  #cursor: string | undefined;
  #busy = false;

  constructor(private fetch: (cursor?: string) => Promise<Page<Clip>>) {
    void this.more();
  }

  get empty(): boolean {
    return this.items.length === 0;
  }

  async more(): Promise<void> {
    if (this.#busy || this.done) return;
    this.#busy = true;
    this.state = 'loading';
    try {
      const page = await this.fetch(this.#cursor);
      // A clip that was published meanwhile moves others onto the next page.
      const known = new Set(this.items.map(({ id }) => id));
      this.items.push(...remember(page.items.filter(({ id }) => !known.has(id))));
      this.#cursor = page.next_cursor ?? undefined;
      this.done = page.next_cursor === null;
      this.state = 'idle';
    } catch (error) {
      this.trouble = sentence(error);
      this.state = 'failed';
    } finally {
      this.#busy = false;
    }
  }
}

/** Calls when an element comes near the view. */
export function near(element: HTMLElement, reached: () => void): { destroy: () => void } {
  const observer = new IntersectionObserver(
    (entries) => {
      if (entries.some((entry) => entry.isIntersecting)) reached();
    },
    { rootMargin: '600px' },
  );
  observer.observe(element);
  return { destroy: () => observer.disconnect() };
}
