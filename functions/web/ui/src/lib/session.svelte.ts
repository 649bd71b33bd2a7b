// Who is signed in. The tokens are in cookies that no script can read; what is kept here says only that there are some,
// whose they are and when to renew them. Tabs share it.
import { api, Problem } from './api.js';

interface Known {
  id: string;
  username: string;
  /** When the access cookie runs out, in ms. */
  until: number;
  /** Of which cookies that is true: what [`given`] was. */
  of: string;
}

/** A renewal that was begun, and not yet seen to end. */
interface Begun {
  /** What [`given`] was. */
  from: string;
  /** In ms. */
  at: number;
}

const KEY = 'toktik.session';
const BEGUN = 'toktik.session.renewing';
const LOCK = 'toktik.refresh';
/** Renewed this long before the end, so that players and event streams always have a cookie that holds. */
const EARLY_MS = 60_000;
/** Renewed again so soon where another page was first and did not live to say until when. */
const UNSURE_MS = 15_000;
/** How long cookies may be on their way to a page that is gone. */
const ON_THEIR_WAY_MS = 10_000;
const LOOK_MS = 50;
/** Requests renew what ran out before they are sent; what nobody asks for can wait. */
const SOONEST_MS = 5_000;

/** Which cookies the browser has: another value after each renewal, whichever page asked for it. */
function given(): string {
  return /(?:^|; )toktik_renewed=([^;]*)/.exec(document.cookie)?.[1] ?? '';
}

function begun(): Begun | null {
  try {
    return JSON.parse(localStorage.getItem(BEGUN) ?? 'null') as Begun | null;
  } catch {
    return null;
  }
}

/** Waits for what a page asked for that was left before the answer came. */
async function arrival(): Promise<void> {
  for (;;) {
    const other = begun();
    const underWay = other?.from === given() && Date.now() - other.at < ON_THEIR_WAY_MS;
    if (!underWay) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function stored(): Known | null {
  try {
    const known = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Known | null;
    if (!known || known.of === given()) return known;
    // Another page renewed them, and did not live to say until when.
    return { ...known, of: given(), until: Date.now() + EARLY_MS + UNSURE_MS };
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
  /** Changes when somebody comes or goes, not with each renewal. */
  readonly signedIn = $derived(this.user !== null);
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

  async signIn(username: string, password: string): Promise<void> {
    const { expires_in } = await api.login({ username, password });
    const until = Date.now() + expires_in * 1000;
    const of = given();
    this.#keep({ id: '', username, until, of });
    const { id, username: name } = await api.me();
    this.#keep({ id, username: name, until, of });
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
    if (!this.#isDue()) return;
    // Another page may have been first without its word having come through yet.
    this.#take(stored());
    if (this.#isDue()) await this.renew();
  }

  #isDue(): boolean {
    return this.user !== null && this.user.until - Date.now() < EARLY_MS;
  }

  /** Trades the refresh cookie for new ones. False: there is no session any more. */
  renew(): Promise<boolean> {
    if (!this.user) return Promise.resolve(false);
    this.#renewing ??= this.#renew(given()).finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  async #renew(seen: string): Promise<boolean> {
    return alone(async () => {
      await arrival();
      const known = stored();
      if (!known) return this.#end();
      return given() === seen ? this.#trade(known) : this.#keep(known);
    });
  }

  async #trade(known: Known): Promise<boolean> {
    localStorage.setItem(BEGUN, JSON.stringify({ from: given(), at: Date.now() } satisfies Begun));
    try {
      const { expires_in } = await api.refresh();
      return this.#keep({ ...known, until: Date.now() + expires_in * 1000, of: given() });
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return this.#end();
      // Not reached: the cookie may still be good for a while.
      this.#wake(known);
      return true;
    } finally {
      localStorage.removeItem(BEGUN);
    }
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
    this.#wake(known);
  }

  /** Renews in time, also when nothing is asked of the server meanwhile. */
  #wake(known: Known | null): void {
    clearTimeout(this.#timer);
    if (!known) return;
    const wait = Math.max(known.until - Date.now() - EARLY_MS, SOONEST_MS);
    this.#timer = setTimeout(() => void this.keepFresh(), wait);
  }
}

export const session = new Session();
