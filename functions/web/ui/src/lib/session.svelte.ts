// Who is signed in. The tokens are in cookies that no script can read; what is kept here says only that there are some,
// whose they are and when to renew them. Tabs share it.
import { api, Problem } from './api.js';

interface Known {
  id: string;
  username: string;
  /** When the access cookie runs out, in ms. */
  until: number;
}

const KEY = 'toktik.session';
const LOCK = 'toktik.refresh';
/** Renewed this long before the end, so that players and event streams always have a cookie that holds. */
const EARLY_MS = 60_000;

function stored(): Known | null {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? 'null') as Known | null;
  } catch {
    return null;
  }
}

/** One tab at a time: a refresh token used twice ends the session. */
function alone<T>(work: () => Promise<T>): Promise<T> {
  return 'locks' in navigator ? (navigator.locks.request(LOCK, work) as Promise<T>) : work();
}

class Session {
  user = $state<Known | null>(stored());
  #renewing: Promise<boolean> | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    addEventListener('storage', (event) => {
      if (event.key === KEY) this.#take(stored());
    });
    // Timers sleep with the machine.
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') void this.keepFresh();
    });
    this.#take(this.user);
  }

  get signedIn(): boolean {
    return this.user !== null;
  }

  async signIn(username: string, password: string): Promise<void> {
    const { expires_in } = await api.login({ username, password });
    const until = Date.now() + expires_in * 1000;
    this.#keep({ id: '', username, until });
    const { id, username: name } = await api.me();
    this.#keep({ id, username: name, until });
  }

  async signUp(username: string, email: string, password: string): Promise<void> {
    await api.register({ username, email, password });
    await this.signIn(username, password);
  }

  async signOut(): Promise<void> {
    await api.logout();
    this.#keep(null);
  }

  /** The account is gone, and its cookies with it. */
  forget(): void {
    this.#keep(null);
  }

  renamed(username: string): void {
    if (this.user) this.#keep({ ...this.user, username });
  }

  /** Renews what is about to run out; nothing to do most of the time. */
  async keepFresh(): Promise<void> {
    if (this.user && this.user.until - Date.now() < EARLY_MS) await this.renew();
  }

  /** Trades the refresh cookie for new ones. False: there is no session any more. */
  renew(): Promise<boolean> {
    if (!this.user) return Promise.resolve(false);
    this.#renewing ??= this.#renew(this.user.until).finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  async #renew(seen: number): Promise<boolean> {
    return alone(async () => {
      const known = stored();
      if (!known) return this.#end();
      // Another tab was first. If its word has not come through yet, the new token is traded once more, which is no harm.
      if (known.until > seen) return this.#keep(known);
      try {
        const { expires_in } = await api.refresh();
        return this.#keep({ ...known, until: Date.now() + expires_in * 1000 });
      } catch (error) {
        if (error instanceof Problem && error.status === 401) return this.#end();
        // Not reached: the cookie may still be good for a while.
        return true;
      }
    });
  }

  #end(): boolean {
    this.#keep(null);
    return false;
  }

  #keep(known: Known | null): true {
    if (known) localStorage.setItem(KEY, JSON.stringify(known));
    else localStorage.removeItem(KEY);
    this.#take(known);
    return true;
  }

  #take(known: Known | null): void {
    this.user = known;
    clearTimeout(this.#timer);
    if (!known) return;
    const wait = Math.max(known.until - Date.now() - EARLY_MS, 5_000);
    this.#timer = setTimeout(() => void this.keepFresh(), wait);
  }
}

export const session = new Session();
