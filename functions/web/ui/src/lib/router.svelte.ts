// Addresses to views, by the History API. Views are loaded when they are first wanted.
import type { Component } from 'svelte';

export interface Match {
  name: string;
  title: string;
  props: Record<string, string>;
  load: () => Promise<{ default: Component<Record<string, never>> }>;
}

interface Route {
  pattern: RegExp;
  name: string;
  title: string;
  load: () => Promise<unknown>;
}

const ROUTES: Route[] = [
  { pattern: /^\/$/, name: 'feed', title: 'Feed', load: () => import('../views/feed/Feed.svelte') },
  { pattern: /^\/browse$/, name: 'browse', title: 'Browse', load: () => import('../views/browse/Browse.svelte') },
  { pattern: /^\/tag\/(?<tag>[^/]+)$/, name: 'tag', title: 'Tag', load: () => import('../views/browse/Tag.svelte') },
  { pattern: /^\/c\/(?<channel>[^/]+)$/, name: 'channel', title: 'Channel', load: () => import('../views/browse/Channel.svelte') },
  { pattern: /^\/v\/(?<id>[^/]+)$/, name: 'watch', title: 'Watch', load: () => import('../views/watch/Watch.svelte') },
  { pattern: /^\/upload$/, name: 'upload', title: 'Upload', load: () => import('../views/upload/Upload.svelte') },
  { pattern: /^\/my$/, name: 'mine', title: 'My clips', load: () => import('../views/mine/Mine.svelte') },
  { pattern: /^\/me$/, name: 'profile', title: 'Profile', load: () => import('../views/profile/Profile.svelte') },
  { pattern: /^\/signin$/, name: 'signin', title: 'Sign in', load: () => import('../views/sign/SignIn.svelte') },
  { pattern: /^\/signup$/, name: 'signup', title: 'Sign up', load: () => import('../views/sign/SignUp.svelte') },
];
const MISSING: Route = {
  pattern: /./,
  name: 'missing',
  title: 'Not found',
  load: () => import('../views/missing/Missing.svelte'),
};

function decoded(groups: Record<string, string> | undefined): Record<string, string> {
  try {
    return Object.fromEntries(Object.entries(groups ?? {}).map(([key, value]) => [key, decodeURIComponent(value)]));
  } catch {
    return { ...groups };
  }
}

export function match(path: string): Match {
  const route = ROUTES.find(({ pattern }) => pattern.test(path)) ?? MISSING;
  const props = decoded(route.pattern.exec(path)?.groups);
  return { name: route.name, title: route.title, props, load: route.load as Match['load'] };
}

const isOurs = (link: HTMLAnchorElement): boolean =>
  link.origin === location.origin && !link.download && (!link.target || link.target === '_self') && !link.pathname.startsWith('/api/');

function linkOf(event: Event): HTMLAnchorElement | null {
  const link = event.target instanceof Element ? event.target.closest('a') : null;
  return link?.href && isOurs(link) ? link : null;
}

class Router {
  path = $state(location.pathname);
  /** Counts navigations, so that going to the same place again is one, too. */
  visit = $state(0);

  constructor() {
    history.scrollRestoration = 'manual';
    addEventListener('popstate', (event) => this.#arrive((event.state as { y?: number } | null)?.y ?? 0));
    document.addEventListener('click', (event) => this.#click(event));
    // The code of a view is fetched while the pointer is still on its way.
    const warm = (event: Event): void => {
      const link = linkOf(event);
      if (link) void match(link.pathname).load();
    };
    for (const kind of ['pointerover', 'focusin', 'touchstart']) document.addEventListener(kind, warm, { passive: true });
  }

  /** Where the page shall be scrolled to once the view stands. */
  scroll = 0;

  go(to: string, { replace = false } = {}): void {
    history.replaceState({ y: scrollY }, '');
    history[replace ? 'replaceState' : 'pushState']({}, '', to);
    this.#arrive(0);
  }

  #arrive(scroll: number): void {
    this.scroll = scroll;
    this.path = location.pathname;
    this.visit += 1;
  }

  #click(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = linkOf(event);
    if (!link || (link.hash && link.pathname === location.pathname)) return;
    event.preventDefault();
    this.go(link.href);
  }
}

export const router = new Router();

/** Where to sign in and come back from. */
export const signInHere = (): string => `/signin?next=${encodeURIComponent(location.pathname + location.search)}`;

/** Where to go on after signing in: a place of ours, whatever the address says. */
export function nextPlace(): string {
  const next = new URLSearchParams(location.search).get('next') ?? '/';
  const there = new URL(next, location.origin);
  return there.origin === location.origin ? there.pathname + there.search : '/';
}
