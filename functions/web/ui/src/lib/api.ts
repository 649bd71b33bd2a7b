// The API, typed by hand after /openapi.json. Everything that is fetched goes through `call`.
import { session } from './session.svelte.js';

export type Status = 'uploading' | 'processing' | 'playable' | 'ready' | 'rejected' | 'failed' | 'deleted';
export type Visibility = 'public' | 'unlisted' | 'private';

export interface Counts {
  views: number;
  likes: number;
  comments: number;
}

export interface Trouble {
  code: string;
  message: string;
}

export interface Clip {
  id: string;
  status: Status;
  progress: number;
  title: string;
  description: string;
  tags: string[];
  visibility: Visibility;
  owner: { id: string; username: string };
  created_at: string;
  duration: number | null;
  width: number | null;
  height: number | null;
  renditions: { height: number; width: number; bandwidth: number; codecs: string }[];
  counts: Counts;
  urls: { playlist: string; poster: string; storyboard: string; preview: string; audio?: string; download: string };
  warnings: string[];
  error?: Trouble;
}

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface Account {
  id: string;
  username: string;
  email: string;
  role: 'user' | 'admin';
  display_name: string | null;
  bio: string | null;
  created_at: string;
}

export interface NewClip {
  title: string;
  description?: string;
  tags?: string[];
  visibility: Visibility;
  filename: string;
  size: number;
  content_type: string;
}

export type Target =
  | { kind: 'put'; url: string; headers: Record<string, string> }
  | { kind: 'multipart'; part_size: number; part_count: number };

export interface SignedPart {
  part_number: number;
  url: string;
  headers: Record<string, string>;
}

export interface ClipChanges {
  title?: string;
  description?: string;
  tags?: string[];
  visibility?: Visibility;
}

export interface AccountChanges {
  username?: string;
  email?: string;
  password?: string;
  current_password?: string;
  display_name?: string | null;
  bio?: string | null;
}

/** What the server says is wrong (RFC 9457); its message is a sentence for people. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly fields: { field: string; message: string }[] = [],
  ) {
    super(message);
  }
}

interface Options {
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  keepalive?: boolean;
}

const OFFLINE = 'The server cannot be reached. Check the connection and try again.';
const BROKEN = 'Something went wrong on the server. Try again in a moment.';

async function problemOf(response: Response): Promise<Problem> {
  const said: unknown = await response.json().catch(() => null);
  if (typeof said !== 'object' || said === null) return new Problem(response.status, 'unknown', BROKEN);
  const { code, title, detail, errors } = said as Record<string, unknown>;
  const message = typeof detail === 'string' ? detail : typeof title === 'string' ? title : BROKEN;
  const fields = Array.isArray(errors) ? (errors as { field: string; message: string }[]) : [];
  return new Problem(response.status, typeof code === 'string' ? code : 'unknown', message, fields);
}

async function send(path: string, { method = 'GET', body, headers, signal, keepalive }: Options): Promise<Response> {
  const init: RequestInit = { method, headers: { accept: 'application/json', ...headers } };
  if (body !== undefined) {
    init.headers = { ...init.headers, 'content-type': 'application/json' };
    init.body = JSON.stringify(body);
  }
  if (signal) init.signal = signal;
  if (keepalive) init.keepalive = true;
  try {
    return await fetch(`/api/v1${path}`, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, 'offline', OFFLINE);
  }
}

async function read<T>(response: Response): Promise<T> {
  if (!response.ok) throw await problemOf(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** A request with the session's cookies; a session that ran out is renewed once, before or after. */
async function call<T>(path: string, options: Options = {}): Promise<T> {
  await session.keepFresh();
  const response = await send(path, options);
  if (response.status !== 401) return read(response);
  const problem = await problemOf(response);
  if (!(await session.renew())) throw problem;
  return read(await send(path, options));
}

const query = (values: Record<string, string | undefined>): string => {
  const given = Object.entries(values).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`;
};

export interface Listing {
  sort?: 'latest' | 'popular';
  tag?: string | undefined;
  channel?: string | undefined;
  cursor?: string | undefined;
}

export const api = {
  register: (body: { username: string; email: string; password: string }) =>
    send('/auth/register', { method: 'POST', body }).then((response) => read<{ user: Account }>(response)),
  login: (body: { username: string; password: string }) =>
    send('/auth/login', { method: 'POST', body }).then((response) => read<{ expires_in: number }>(response)),
  /** Goes through even when the page is left meanwhile: a token whose successor nobody took would end the session. */
  refresh: () =>
    send('/auth/refresh', { method: 'POST', keepalive: true }).then((response) => read<{ expires_in: number }>(response)),
  logout: () => send('/auth/logout', { method: 'POST' }).then((response) => read<void>(response)),

  me: () => call<Account>('/me'),
  changeMe: (body: AccountChanges) => call<Account>('/me', { method: 'PATCH', body }),
  deleteMe: (password: string) => call<void>('/me', { method: 'DELETE', body: { password } }),

  clips: ({ sort = 'latest', tag, channel, cursor }: Listing, limit = 20, signal?: AbortSignal) =>
    call<Page<Clip>>(`/videos${query({ sort, tag, channel, cursor, limit: String(limit) })}`, signal ? { signal } : {}),
  mine: (cursor?: string) => call<Page<Clip>>(`/me/videos${query({ cursor, limit: '50' })}`),
  clip: (id: string) => call<Clip>(`/videos/${id}`),
  change: (id: string, body: ClipChanges) => call<Clip>(`/videos/${id}`, { method: 'PATCH', body }),
  remove: (id: string) => call<void>(`/videos/${id}`, { method: 'DELETE' }),
  /** For a page that is being left: nothing may be awaited before it is sent. */
  removeInPassing: (id: string) => send(`/videos/${id}`, { method: 'DELETE', keepalive: true }),
  retry: (id: string) => call<unknown>(`/videos/${id}/retry`, { method: 'POST' }),
  like: (id: string, liked: boolean) => call<void>(`/videos/${id}/like`, { method: liked ? 'PUT' : 'DELETE' }),
  view: (id: string, token?: string) => call<void>(`/videos/${id}/views${query({ token })}`, { method: 'POST' }),
  link: (id: string) => call<{ url: string; expires_at: string }>(`/videos/${id}/links`, { method: 'POST' }),

  begin: (body: NewClip, key: string) =>
    call<{ video: { id: string }; upload: Target }>('/videos', {
      method: 'POST',
      body,
      headers: { 'idempotency-key': key },
    }),
  signPart: (id: string, part: number) =>
    call<{ parts: SignedPart[] }>(`/videos/${id}/upload/parts`, { method: 'POST', body: { part_numbers: [part] } }),
  parts: (id: string) => call<{ parts: { part_number: number; size: number }[] }>(`/videos/${id}/upload/parts`),
  complete: (id: string) => call<unknown>(`/videos/${id}/upload/complete`, { method: 'POST', body: {} }),
  abandon: (id: string) => call<void>(`/videos/${id}/upload`, { method: 'DELETE' }),
};

/** The sentence to show for whatever was thrown. */
export const sentence = (error: unknown): string => (error instanceof Problem ? error.message : BROKEN);

/** What is wrong with which field, as sentences. */
export function fieldErrors(error: unknown): Record<string, string> {
  if (!(error instanceof Problem)) return {};
  const label = (field: string): string => {
    const words = field.replaceAll('_', ' ');
    return words.charAt(0).toUpperCase() + words.slice(1);
  };
  // Messages go on from the field's name ("must be …") or are sentences of their own.
  const whole = (field: string, message: string): string =>
    /^[A-Z]/.test(message) ? message : `${label(field)} ${message}.`;
  return Object.fromEntries(error.fields.map(({ field, message }) => [field, whole(field, message)]));
}
