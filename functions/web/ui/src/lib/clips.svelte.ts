// Clips that lists brought already, so that a page about one of them stands at once; and which of them one likes.
import { api, type Clip } from './api.js';
import { session } from './session.svelte.js';

const KEPT = 200;
const seen = new Map<string, Clip>();

export function remember(clips: Clip[]): Clip[] {
  for (const clip of clips) {
    seen.delete(clip.id);
    seen.set(clip.id, clip);
  }
  for (const id of seen.keys()) {
    if (seen.size <= KEPT) break;
    seen.delete(id);
  }
  return clips;
}

export const recall = (id: string): Clip | undefined => seen.get(id);

export const watchable = (clip: Clip): boolean => clip.status === 'ready' || clip.status === 'playable';

/** The API counts likes but does not say which are one's own: this browser remembers those that were given here. */
class Likes {
  #ids = $state<string[]>([]);
  #owner = '';

  #load(): void {
    const owner = session.user?.id ?? '';
    if (owner === this.#owner) return;
    this.#owner = owner;
    try {
      this.#ids = owner ? (JSON.parse(localStorage.getItem(`toktik.likes.${owner}`) ?? '[]') as string[]) : [];
    } catch {
      this.#ids = [];
    }
  }

  has(id: string): boolean {
    return session.user !== null && session.user.id === this.#owner && this.#ids.includes(id);
  }

  constructor() {
    this.#load();
  }

  /** To be called when the account may have changed. */
  refresh(): void {
    this.#load();
  }

  /** Changes it at once, and back if the server refuses. */
  async set(clip: Clip, liked: boolean): Promise<void> {
    this.#load();
    if (liked === this.has(clip.id)) return;
    this.#put(clip, liked);
    try {
      await api.like(clip.id, liked);
    } catch (error) {
      this.#put(clip, !liked);
      throw error;
    }
  }

  #put(clip: Clip, liked: boolean): void {
    this.#ids = liked ? [...this.#ids, clip.id] : this.#ids.filter((id) => id !== clip.id);
    clip.counts.likes = Math.max(0, clip.counts.likes + (liked ? 1 : -1));
    localStorage.setItem(`toktik.likes.${this.#owner}`, JSON.stringify(this.#ids.slice(-2000)));
  }
}

export const likes = new Likes();
