// Deleting with time to think again: what is deleted disappears at once and is really deleted some seconds later, or when
// the page is left.
import { api, sentence, type Clip } from '../../lib/api.js';
import { toasts } from '../../lib/toasts.svelte.js';

const THINK_MS = 6_000;

interface Pending {
  clip: Clip;
  timer: ReturnType<typeof setTimeout>;
}

class Removals {
  #pending = $state<Record<string, Pending>>({});

  /** Whether a clip is to be shown as gone. */
  has(id: string): boolean {
    return id in this.#pending;
  }

  begin(clip: Clip): void {
    const timer = setTimeout(() => void this.#finish(clip), THINK_MS);
    this.#pending[clip.id] = { clip, timer };
    toasts.say(`“${clip.title}” is deleted.`, { label: 'Undo', run: () => this.#undo(clip.id) }, THINK_MS);
  }

  #undo(id: string): void {
    clearTimeout(this.#pending[id]?.timer);
    delete this.#pending[id];
  }

  async #finish(clip: Clip): Promise<void> {
    try {
      await api.remove(clip.id);
    } catch (error) {
      delete this.#pending[clip.id];
      toasts.say(`“${clip.title}” could not be deleted. ${sentence(error)}`);
    }
  }

  /** Nobody is left to undo. */
  leave(): void {
    for (const { clip, timer } of Object.values(this.#pending)) {
      clearTimeout(timer);
      void api.removeInPassing(clip.id).catch(() => undefined);
    }
  }
}

export const removals = new Removals();
addEventListener('pagehide', () => removals.leave());
